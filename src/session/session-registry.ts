import { randomId } from "../core/ids.ts";
import type { Principal } from "../core/principal.ts";
import type { NoticeFrame } from "../protocol/server-frames.ts";
import type { SessionHost } from "./session-host.ts";
import { Session } from "./session.ts";
import type { Socket } from "./delivery/socket.ts";
import { stagger } from "./stagger.ts";

/** Identity of a connecting client, as the upgrade established it. */
export interface ConnectionIdentity {
  /** Key by which the address is counted: IPv4 address, or IPv6 /64 prefix. */
  readonly address: string;
  /** Claims of the verified token; null for an anonymous client. */
  readonly token: { readonly subject: string; readonly expiresAt: number; readonly weight: number } | null;
  /** Whether the socket requested the extended frames. */
  readonly streaming: boolean;
}

/** All sessions that have an open socket. */
export class SessionRegistry {
  readonly #host: SessionHost;
  readonly #sessions = new Set<Session>();
  #empty: (() => void)[] = [];

  constructor(host: SessionHost) {
    this.#host = host;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** Opens a session for a new socket, which receives the welcome. */
  open(socket: Socket, identity: ConnectionIdentity): Session {
    const owner = ownerOf(identity);
    const record = {
      authenticated: owner.authenticated,
      client: owner.client,
      publicId: owner.publicId,
      accountKey: owner.accountKey,
      ownConversation: `own-${randomId()}`,
    };
    const session = Session.open(this.#host, { socket, record, owner, streaming: identity.streaming });
    this.#sessions.add(session);
    return session;
  }

  /** Whether one more socket of a subject would be refused. */
  subjectFull(subject: string): boolean {
    return this.#host.clients.isFull(clientOf(subject));
  }

  /** Removes a session whose socket has closed. */
  closed(session: Session): void {
    session.onClose();
    this.#sessions.delete(session);
    if (this.#sessions.size === 0) for (const resolve of this.#empty.splice(0)) resolve();
  }

  /** Sends a notice to every socket. */
  notify(event: NoticeFrame["event"], message: string): void {
    for (const session of this.#sessions) session.notify(event, message);
  }

  /**
   * Announces the stop on every socket and closes them with 1012: idle ones in random order over `ms` milliseconds,
   * the others when their answers have ended. Sockets that remain after that are closed by {@link closeAll}.
   */
  drain(ms: number): void {
    for (const session of this.#sessions) session.drain(ms);
    stagger([...this.#sessions], ms, this.#host.clock, (session) => session.retire());
  }

  /** Closes every socket with 1012 at once. */
  closeAll(): void {
    for (const session of this.#sessions) session.close("restart", "the server is shutting down");
  }

  /** Resolves when all sockets are closed. */
  whenEmpty(): Promise<void> {
    if (this.#sessions.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#empty.push(resolve));
  }
}

/** Client key of a subject. */
function clientOf(subject: string): string {
  return `sub:${subject}`;
}

function ownerOf({ token, address }: ConnectionIdentity): Principal {
  if (token !== null) {
    const key = clientOf(token.subject);
    return {
      authenticated: true,
      client: key,
      publicId: token.subject,
      accountKey: key,
      expiresAt: token.expiresAt,
      weight: token.weight,
    };
  }
  const publicId = randomId();
  return { authenticated: false, client: `anon:${publicId}`, publicId, accountKey: `addr:${address}` };
}
