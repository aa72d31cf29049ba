import { randomId } from "../core/ids.ts";
import type { Principal } from "../core/principal.ts";
import type { NoticeFrame } from "../protocol/server-frames.ts";
import type { SessionHost } from "./session-host.ts";
import { Session } from "./session.ts";
import type { Socket } from "./delivery/socket.ts";
import { stagger } from "./stagger.ts";

/** Who stands at the door, as far as the door could tell. */
export interface ConnectionIdentity {
  /** Key of the address that is charged, IPv6 by /64. */
  readonly address: string;
  /** The verified token's claims; null for an anonymous client. */
  readonly token: { readonly subject: string; readonly expiresAt: number; readonly weight: number } | null;
  /** Whether the socket asked for the extended frames. */
  readonly streaming: boolean;
}

/** All sessions with a socket. */
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

  /** Makes the session of a new socket and welcomes it. */
  open(socket: Socket, identity: ConnectionIdentity): Session {
    const owner = ownerOf(identity);
    const record = {
      authenticated: owner.authenticated,
      client: owner.client,
      publicId: owner.publicId,
      accountKey: owner.accountKey,
      ownConversation: `own-${randomId()}`,
    };
    const session = new Session(this.#host, socket, record, owner, identity.streaming);
    this.#sessions.add(session);
    return session;
  }

  /** Whether one more socket of a subject would be refused. */
  subjectFull(subject: string): boolean {
    return this.#host.clients.isFull(clientOf(subject));
  }

  /** The socket of a session is gone. */
  closed(session: Session): void {
    session.onClose();
    this.#sessions.delete(session);
    if (this.#sessions.size === 0) for (const resolve of this.#empty.splice(0)) resolve();
  }

  /** Tells every socket. */
  notify(event: NoticeFrame["event"], message: string): void {
    for (const session of this.#sessions) session.notify(event, message);
  }

  /**
   * Tells every socket that it will be closed, and does so: idle ones with 1012 in random order over `ms`, the others at
   * the end of their answers. What is still there after that is left to {@link closeAll}.
   */
  drain(ms: number): void {
    for (const session of this.#sessions) session.drain(ms);
    stagger([...this.#sessions], ms, this.#host.clock, (session) => session.retire());
  }

  /** Closes every socket with 1012 now. */
  closeAll(): void {
    for (const session of this.#sessions) session.close("restart", "the server stops");
  }

  /** Resolves when no socket is left. */
  whenEmpty(): Promise<void> {
    if (this.#sessions.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#empty.push(resolve));
  }
}

/** Key of the client whose subject this is. */
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
