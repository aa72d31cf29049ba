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
