import type { ClientEnvironment, ClientEvent, SocketHandlers } from "../../../../web/client/client-events.ts";
import { ChatClient } from "../../../../web/client/chat-client.ts";
import { VirtualClock } from "../../../support/virtual-clock.ts";

/** A socket that the client opened, seen from the server. */
export interface FakeSocket {
  readonly url: string;
  readonly protocols: readonly string[];
  /** Frames the client sent. */
  readonly sent: Record<string, unknown>[];
  readonly closedByClient: boolean;
  /** Sends a frame to the client. */
  deliver(frame: object): void;
  /** Sends any text to the client. */
  deliverRaw(text: string): void;
  /** Closes the socket from the server. The code 1006 stands for a lost connection. */
  end(code: number, reason?: string): void;
}

export interface FakeWorld {
  readonly clock: VirtualClock;
  readonly sockets: FakeSocket[];
  /** The latest socket. */
  readonly socket: FakeSocket;
  readonly environment: ClientEnvironment;
  /** Result of `random()`. */
  random: number;
  /** The stored session secret. */
  secret: string | null;
}

/** Creates an environment whose sockets, time, random numbers and storage are controlled by the test. */
export function createFakeWorld(): FakeWorld {
  const clock = new VirtualClock();
  const sockets: FakeSocket[] = [];
  let ids = 0;
  const world: FakeWorld = {
    clock,
    sockets,
    get socket() {
      const last = sockets.at(-1);
      if (last === undefined) throw new Error("the client has opened no socket");
      return last;
    },
    random: 0.5,
    secret: null,
    environment: {
      openSocket(url, protocols, handlers) {
        const { socket, server } = pair(url, protocols, handlers);
        sockets.push(server);
        return socket;
      },
      now: () => clock.now(),
      after: (ms, callback) => clock.after(ms, callback),
      random: () => world.random,
      newId: () => `id-${++ids}`,
      session: {
        load: () => world.secret,
        save: (secret) => {
          world.secret = secret;
        },
      },
    },
  };
  return world;
}

function pair(url: string, protocols: readonly string[], handlers: SocketHandlers) {
  const sent: Record<string, unknown>[] = [];
  let open = true;
  let closedByClient = false;
  const server: FakeSocket = {
    url,
    protocols,
    sent,
    get closedByClient() {
      return closedByClient;
    },
    deliver: (frame) => server.deliverRaw(JSON.stringify(frame)),
    deliverRaw(text) {
      if (open) handlers.message(text);
    },
    end(code, reason = "") {
      if (!open) return;
      open = false;
      handlers.close(code, reason);
    },
  };
  const socket = {
    send: (text: string) => void sent.push(JSON.parse(text) as Record<string, unknown>),
    close() {
      open = false;
      closedByClient = true;
    },
  };
  return { socket, server };
}

export function welcomeFrame(session = "secret-1"): object {
  return {
    type: "system",
    event: "welcome",
    message: "Hello.",
    session,
    client: "client-1",
    provider: "local",
    model: "tiny",
    text_may_leave: false,
    limits: {
      max_frame_bytes: 65_536,
      max_message_chars: 16_000,
      max_output_tokens: 512,
      max_pending_messages: 8,
      max_active_answers: 4,
      max_conversations: 100,
    },
  };
}

export const resumedFrame = (session = "secret-1"): object => ({
  type: "system",
  event: "resumed",
  message: "",
  session,
  client: "client-1",
});

export const tokenFrame = (id: string, content: string, from: number, answer = "a1"): object => ({
  type: "token",
  id,
  answer,
  content,
  from,
  to: from + Buffer.byteLength(content),
});

/** Records all events of a client, in order. */
export function record(client: ChatClient): ClientEvent[] {
  const events: ClientEvent[] = [];
  client.subscribe((event) => events.push(event));
  return events;
}

export const URL_OF_CHAT = "ws://chat.example/ws/chat";

/** Creates a client that is connecting. */
export function connect(token?: string): { world: FakeWorld; client: ChatClient; events: ClientEvent[] } {
  const world = createFakeWorld();
  const endpoint = token === undefined ? { url: URL_OF_CHAT } : { url: URL_OF_CHAT, token };
  const client = new ChatClient(endpoint, world.environment);
  const events = record(client);
  client.connect();
  return { world, client, events };
}

/** Creates a client with an open connection and a new session. */
export function connected(): ReturnType<typeof connect> {
  const all = connect();
  all.world.socket.deliver(welcomeFrame());
  return all;
}

/** Advances the clock to the next reconnect attempt. */
export async function waitForAttempt(world: FakeWorld, client: ChatClient): Promise<void> {
  if (client.state.phase !== "waiting") throw new Error(`not waiting but ${client.state.phase}`);
  await world.clock.pass(client.state.retryAt - world.clock.now());
}

/** Text of an answer as a page would show it. */
export const textOf = (events: readonly ClientEvent[], id: string): string =>
  events.reduce((text, event) => {
    if (event.type !== "text" || event.id !== id) return text;
    return event.restart ? event.delta : text + event.delta;
  }, "");

/** Returns the events of one type. */
export const ofType = <Type extends ClientEvent["type"]>(events: readonly ClientEvent[], type: Type) =>
  events.filter((event): event is ClientEvent & { type: Type } => event.type === type);
