import type { Attack } from "./attack.ts";
import { frameAttacks } from "./frame-attacks.ts";
import { httpAttacks } from "./http-attacks.ts";
import { messageAttacks } from "./message-attacks.ts";
import { readerAttacks } from "./reader-attacks.ts";

const { descriptors, ...http } = httpAttacks;

/** All attacks by name. */
export const attacks: Readonly<Record<string, Attack>> = {
  ...http,
  ...frameAttacks,
  ...messageAttacks,
  ...readerAttacks,
  descriptors,
};
