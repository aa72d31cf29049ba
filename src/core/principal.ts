/**
 * Identity behind a connection. `client` owns the data (conversations, context, answers, KV); `accountKey` is charged
 * (queue, budgets). An authenticated subject is both. An anonymous session owns its data, but its address is charged,
 * because sessions are free to create and addresses are not.
 */
export interface Principal {
  readonly authenticated: boolean;
  /** Key of the data owner: `sub:<JWT sub>` or `anon:<public id of the session>`. */
  readonly client: string;
  /** The id shown to the client in the welcome: the JWT's `sub`, or the public id of the anonymous session. */
  readonly publicId: string;
  /** Key of the charged account: `sub:<JWT sub>` or `addr:<address>` (IPv6 by /64). */
  readonly accountKey: string;
  /** Relative share of the engine while others wait, from the token's claim `weight`; 1 when absent. */
  readonly weight?: number;
  /** Expiry of the token in seconds since the epoch; absent for anonymous clients. */
  readonly expiresAt?: number;
}

/** The two classes of accounts. Budgets reserve a share for each, so that neither can use up the share of the other. */
export type AccountClass = "authenticated" | "anonymous";

/** Class of an account key, `sub:<JWT sub>` or `addr:<address>`. */
export function classOf(accountKey: string): AccountClass {
  return accountKey.startsWith("addr:") ? "anonymous" : "authenticated";
}

/**
 * Keys of the networks around the address of an anonymous account, widest first: /24 for IPv4; /48 and /56 for IPv6,
 * whose accounts are /64 networks. One site often has a whole /48, which is 65,536 accounts. Empty for a subject, and
 * for an address that could not be read.
 */
export function networksOf(accountKey: string): readonly string[] {
  // A message charges several budgets of the same account.
  if (accountKey !== lastKey) {
    lastNetworks = findNetworks(accountKey);
    lastKey = accountKey;
  }
  return lastNetworks;
}

let lastKey = "";
let lastNetworks: readonly string[] = [];

function findNetworks(accountKey: string): readonly string[] {
  if (classOf(accountKey) === "authenticated") return [];
  const ipv4 = /^addr:(\d+\.\d+\.\d+)\.\d+$/.exec(accountKey);
  if (ipv4 !== null) return [`addr:${ipv4[1]}.0/24`];
  // The key has the first four groups. `::` replaces zeros at their end only, because the rest of the address is zero.
  const ipv6 = /^addr:([\da-f:]*)::\/64$/.exec(accountKey);
  if (ipv6 === null) return [];
  const [first = "", second = "0", third = "0", fourth = "0"] = (ipv6[1] as string).split(":");
  const site = `${first === "" ? "0" : first}:${second}:${third}`;
  const upper = (Number.parseInt(fourth, 16) & 0xff00).toString(16);
  return [`addr:${site}::/48`, `addr:${site}:${upper}::/56`];
}
