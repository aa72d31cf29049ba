import type { ChatService } from "../chat/chat-service.ts";
import type { SessionStore } from "../chat/session-store.ts";
import type { TokenVerifier } from "../auth/token-verifier.ts";
import type { FrameDecoder } from "../protocol/codec.ts";
import type { Principal } from "../core/principal.ts";
import type { WelcomeFrame, WireLimits } from "../protocol/server-frames.ts";
import type { BufferAccount } from "./delivery/buffer-account.ts";
import type { DeliveryHost } from "./delivery/delivery-host.ts";
import type { ClientSockets } from "./client-sockets.ts";
import type { ExpiryWheel } from "./expiry-wheel.ts";
import type { FrameTurns } from "./limits/frame-turns.ts";
import type { GuardHost } from "./limits/inbound-guard.ts";

/** What the welcome frame reports about the provider. */
export interface Welcome {
  readonly message: string;
  /** Name of the provider; null if none is available. */
  readonly provider: string | null;
  readonly model: string | null;
  /** Whether text may be sent to a provider outside this machine. */
  readonly textMayLeave: boolean;
}

/** What all sessions share. */
export interface SessionHost extends DeliveryHost, GuardHost {
  readonly chat: ChatService;
  readonly sessions: SessionStore;
  readonly decode: FrameDecoder;
  readonly turns: FrameTurns;
  /** Limits that the welcome frame reports. */
  readonly limits: WireLimits;
  readonly expiry: ExpiryWheel;
  readonly clients: ClientSockets;
  readonly buffers: BufferAccount;
  readonly tokenVerifier: TokenVerifier;
  welcome(): Welcome;
}

/** The first frame of a session; `secret` is what its client resumes it with. */
export function welcomeFrame(host: SessionHost, secret: string, { publicId }: Principal): WelcomeFrame {
  const { message, provider, model, textMayLeave } = host.welcome();
  return {
    type: "system",
    event: "welcome",
    message,
    session: secret,
    client: publicId,
    provider,
    model,
    text_may_leave: textMayLeave,
    limits: host.limits,
  };
}
