import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { commands } from "../../src/chat/commands/command-table.ts";
import { loadConfig } from "../../src/config/load.ts";
import { settings } from "../../src/config/schema.ts";
import { errorCodes } from "../../src/core/error-codes.ts";
import { limits } from "../../src/core/limits.ts";
import { WaitingRoom } from "../../src/core/queues/waiting-room.ts";
import { closeCodes } from "../../src/protocol/close-codes.ts";
import { BufferAccount } from "../../src/session/delivery/buffer-account.ts";
import { MemoryAnswerLog } from "../../src/stores/memory/memory-answer-log.ts";
import { addressBounds, boundCells, gatewayMebibytes } from "../support/address-bounds.ts";
import { tableAfter } from "../support/page-table.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const pageOf = (name: string) => readFileSync(new URL(`../../docs/${name}`, import.meta.url), "utf8");
const root = new URL("../../", import.meta.url);
const protocol = pageOf("protocol.md");

describe("docs/protocol.md", () => {
  it("lists every error code with the meaning and retryability defined in the code", () => {
    const wanted = Object.entries(errorCodes).map(([code, { retryable, meaning }]) => [
      `\`${code}\``,
      retryable ? "yes" : "no",
      meaning,
    ]);
    expect(tableAfter(protocol, "<!-- errors:")).toEqual(wanted);
  });

  it("lists every close code with the meaning and reconnect rule defined in the code", () => {
    const wanted = Object.values(closeCodes).map(({ code, meaning, reconnect }) => [
      String(code),
      meaning,
      reconnect,
    ]);
    expect(tableAfter(protocol, "<!-- close codes:")).toEqual(wanted);
  });

  it("lists every command", () => {
    const listed = tableAfter(protocol, "## Commands").map(
      ([usage]) => usage?.replaceAll("`", "").split(" ")[0],
    );
    expect(listed).toEqual(commands.map(({ name }) => `/${name}`));
  });
});

describe("docs/operations.md", () => {
  it("lists every limit with the setting, default and reactions defined in the code", () => {
    const wanted = Object.entries(limits).map(([name, limit]) => [
      `\`${name}\`${"rate" in limit ? " †" : ""}`,
      `\`${limit.setting}\``,
      limit.setting in settings
        ? settings[limit.setting as keyof typeof settings].shownDefault
        : "of the system",
      limit.first,
      limit.repeated,
    ]);
    expect(tableAfter(pageOf("operations.md"), "<!-- limits:")).toEqual(wanted);
  });
});

describe("docs/security.md", () => {
  const page = pageOf("security.md");
  const { config } = loadConfig({});

  it("lists what one address can hold as computed from the defaults of the settings", () => {
    const bounds = addressBounds(config);
    expect(tableAfter(page, "<!-- address bounds:")).toEqual(bounds.map(boundCells));
    expect(page).toContain(`The sum is ${gatewayMebibytes(bounds)} MiB in the gateway.`);
  });

  it("computes what one address can hold with the shares that the code applies", () => {
    const bounds = new Map(addressBounds(config).map(({ kind, items }) => [kind, items]));
    expect(anonymousPlaces(config.LOCAL_QUEUE_LIMIT)).toBe(bounds.get("queued requests"));
    expect(unsentBytesOfOneAddress(config.MAX_BUFFERED_MB * MIB)).toBe(bounds.get("unsent bytes"));
    expect(messageBytesOfOneAddress(config.ANSWER_BUDGET_MB * MIB)).toBe(bounds.get("texts of both"));
  });

  it("names only files that exist, and settings that exist", () => {
    const named = [...page.matchAll(/`((?:src|test|docs|scripts|web)\/[^`\s]+)`/g)].map(([, path]) =>
      String(path),
    );
    expect(named.length).toBeGreaterThan(50);
    expect(named.filter((path) => !existsSync(new URL(path, root)))).toEqual([]);
    const upper = [...page.matchAll(/`([A-Z]+_[A-Z_]+)`/g)].map(([, name]) => String(name));
    expect(upper.filter((name) => !(name in settings) && !UNNAMED.has(name))).toEqual([]);
  });
});

const MIB = 1_048_576;

/** Variables in docs/security.md that are not settings of the service. */
const UNNAMED: ReadonlySet<string> = new Set(["GGUF_MUTATIONS"]);

const ADDRESS = "addr:192.0.2.1";

/** Requests of one anonymous address that may wait. */
function anonymousPlaces(places: number): number {
  const room = new WaitingRoom(places);
  for (let index = 0; index <= places; index++) room.enter({ accountKey: ADDRESS, authenticated: false });
  return room.size;
}

/** Unsent bytes of one address above which one of its sockets is cut. */
function unsentBytesOfOneAddress(maxBytes: number): number {
  const account = new BufferAccount(maxBytes, new VirtualClock());
  let cut = false;
  const holder = { address: ADDRESS, closeToFreeMemory: () => (cut = true) };
  let bytes = 0;
  while (!cut) account.set(holder, (bytes += MIB));
  return bytes - MIB;
}

/** Memory of messages that one address may have waiting. */
function messageBytesOfOneAddress(budgetBytes: number): number {
  const options = {
    budgetBytes,
    maxAnswerBytes: MIB,
    retentionMs: 1000,
    reservedShare: 0,
    clock: new VirtualClock(),
  };
  const log = new MemoryAnswerLog(options);
  const meta = { id: "i", client: "anon:a", accountKey: ADDRESS, conversation: "c", command: null };
  let bytes = 0;
  for (;;) {
    try {
      log.create({ ...meta, answer: String(bytes) }, MIB / 16);
    } catch {
      return bytes;
    }
    bytes += MIB / 16;
  }
}
