import type { Config } from "../config/schema.ts";
import type { LocalInfo } from "./local-provider-setup.ts";
import type { Selection } from "../providers/select-provider.ts";

export interface StartBannerFacts {
  readonly config: Config;
  readonly address: { readonly host: string; readonly port: number };
  readonly selection: Selection;
  /** Null when the local provider does not run. */
  readonly local: LocalInfo | null;
  readonly authenticates: boolean;
  readonly warnings: readonly string[];
}

/** The block that says where the service is and what answers there. Plain text with a new line at its end. */
export function renderStartBanner(facts: StartBannerFacts): string {
  const { selection, local, warnings } = facts;
  const rows: [string, string][] = [
    ["URL", urlOf(facts)],
    ...providerRows(selection, local),
    ...accessRows(facts),
  ];
  const notes = [
    ...selection.skipped.map(({ name, reason }) => `${name} could not start: ${reason}`),
    ...(selection.provider === null ? [selection.remedy] : []),
    ...(local?.notes ?? []),
    ...warnings,
  ];
  const lines = rows.map(([name, value]) => `  ${name.padEnd(10)}${value}`);
  return [
    "",
    "AI chat service is running",
    ...lines,
    ...notes.map((note) => `  Note      ${note}`),
    "",
    "",
  ].join("\n");
}

function urlOf({ address: { host, port } }: StartBannerFacts): string {
  const name = host === "0.0.0.0" || host === "::" ? "localhost" : host;
  const authority = `${name.includes(":") ? `[${name}]` : name}:${port}`;
  return `http://${authority}/   (ws://${authority}/ws/chat)`;
}

function providerRows({ provider, order }: Selection, local: LocalInfo | null): [string, string][] {
  if (provider === null) return [["Provider", "none: no message can be answered yet"]];
  const { model, contextTokens } = provider.describe();
  const rows: [string, string][] = [
    ["Provider", provider.name],
    ["Model", local === null ? `${model}, ${contextTokens} tokens` : `${model} (${local.description})`],
  ];
  if (local !== null) {
    rows.push(["Source", local.source]);
    rows.push(["Compute", local.compute]);
    rows.push(["Slots", slotsText(local)]);
  }
  const rest = order.slice(1);
  rows.push(["Fallback", rest.length === 0 ? "none" : rest.join(", ")]);
  return rows;
}

/** The sum behind the memory of the slots. */
function slotsText({ slots, contextTokens, kvBytes, autoFromBytes }: LocalInfo): string {
  const each = (kvBytes / (slots * contextTokens) / 1024).toFixed(1);
  const sum = `${slots} × ${contextTokens} tokens × ${each} KiB = ${mebibytes(kvBytes)}`;
  return autoFromBytes === undefined
    ? sum
    : `${sum} (auto: at most half of ${mebibytes(autoFromBytes)} free)`;
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 1_048_576)} MiB`;
}

function accessRows({ config, selection, authenticates }: StartBannerFacts): [string, string][] {
  const authentication = authenticates
    ? "on for /ws/chat/auth"
    : "not set up (set JWT_SECRET or JWT_PUBLIC_KEY)";
  const anonymous = config.ALLOW_ANONYMOUS ? "anonymous clients allowed" : "no anonymous clients";
  return [
    ["Privacy", selection.textMayLeave ? "text MAY LEAVE this machine" : "text stays on this machine"],
    ["Access", `authentication ${authentication}; ${anonymous}`],
  ];
}
