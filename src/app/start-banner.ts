import type { Config } from "../config/schema.ts";
import { describeProxies } from "../outbound/proxy-routes.ts";
import type { LocalInfo } from "./local-provider-setup.ts";
import type { Selection } from "../providers/select-provider.ts";

export interface StartBannerFacts {
  readonly config: Config;
  readonly address: { readonly host: string; readonly port: number };
  readonly selection: Selection;
  /** Null if the local provider is not running. */
  readonly local: LocalInfo | null;
  readonly authenticates: boolean;
  readonly warnings: readonly string[];
}

/** Renders the banner printed at start: URL, provider, access and notes. Plain text that ends with a line break. */
export function renderStartBanner(facts: StartBannerFacts): string {
  const { selection, local, warnings } = facts;
  const rows: [string, string][] = [
    ["URL", urlOf(facts)],
    ...providerRows(selection, local),
    ...accessRows(facts),
    ...proxyRows(facts),
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
  if (provider === null) return [["Provider", "none (messages cannot be answered)"]];
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

/** How the memory of the slots is computed: slots × tokens × KV bytes per token. */
function slotsText({ slots, contextTokens, kvBytes, autoFromBytes }: LocalInfo): string {
  const perToken = (kvBytes / (slots * contextTokens) / 1024).toFixed(1);
  const total = `${slots} × ${contextTokens} tokens × ${perToken} KiB = ${mebibytes(kvBytes)}`;
  return autoFromBytes === undefined
    ? total
    : `${total} (auto: at most half of the ${mebibytes(autoFromBytes)} free)`;
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 1_048_576)} MiB`;
}

function proxyRows({ config }: StartBannerFacts): [string, string][] {
  const proxies = describeProxies(config);
  return proxies === null ? [] : [["Proxy", proxies]];
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
