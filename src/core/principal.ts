/**
 * Who speaks. `client` owns data (conversations, context, answers, KV); `principal` is charged (queue, budgets).
 * An authenticated subject is both; an anonymous session owns its data, and its address is charged, since sessions
 * are free to make and addresses are not.
 */
export interface Principal {
  readonly authenticated: boolean;
  /** Key of the data owner, unique over both kinds: `sub:<JWT sub>` or `anon:<session's public id>`. */
  readonly client: string;
  /** The id shown to the client in the welcome: the JWT's `sub`, or the public id of the anonymous session. */
  readonly publicId: string;
  /** Key of the one who is charged: `sub:<JWT sub>` or `addr:<address>` (IPv6 by /64). */
  readonly accountKey: string;
  /** Share of the engine beside others who wait, from the token's claim `weight`; 1 where absent. */
  readonly weight?: number;
  /** Seconds since the epoch at which the token expires; absent for anonymous clients. */
  readonly expiresAt?: number;
}
