/**
 * The Port: the only way in which a protocol sees the mesh.
 *
 * `node/` implements it over libp2p, the simulator over a seeded virtual network; a protocol runs unchanged under both.
 * A feature declares the part that it needs, `Pick<Port, ...>`, so that a test stubs just that.
 */
import type { AnyProtocol, CallOptions, Client, Handlers } from './define.ts'

/** Stops what it stands for; calling it twice is harmless. */
export type Stop = () => void

export interface Clock {
  /** Milliseconds since 1970, this node's clock: for people, never for safety. */
  now(): number
  /** Milliseconds from an arbitrary start; never goes back. */
  monotonic(): number
}

export interface Timers {
  /** Calls `fn` once after `delayMs`. */
  after(delayMs: number, fn: () => void): Stop
  /** Calls `fn` each `periodMs`, give or take a fifth. */
  every(periodMs: number, fn: () => void): Stop
}

export type Fields = Record<string, unknown>

export interface Log {
  error(message: string, fields?: Fields): void
  warn(message: string, fields?: Fields): void
  info(message: string, fields?: Fields): void
}

export type Labels = Record<string, string>

/** Names in base units (`_seconds`, `_bytes`, `_total`). Asking twice for one name returns the same metric. */
export interface Metrics {
  counter(name: string, help: string, labels?: readonly string[]): (labels?: Labels, by?: number) => void
  histogram(
    name: string,
    help: string,
    labels?: readonly string[],
    buckets?: number[],
  ): (value: number, labels?: Labels) => void
  /** A gauge that is read when the metrics are scraped; it costs nothing in between. */
  gauge(name: string, help: string, read: () => number): void
}

export type Encoding = 'identity' | 'gzip' | 'zstd'

export interface Compression {
  /** What this platform can do, best first; `identity` is always possible and not listed. */
  readonly encodings: readonly Exclude<Encoding, 'identity'>[]
  compress(encoding: Exclude<Encoding, 'identity'>, bytes: Uint8Array): Promise<Uint8Array>
  /** Throws when the result would be larger than `maxBytes`; never allocates much more than that. */
  decompress(encoding: Exclude<Encoding, 'identity'>, bytes: Uint8Array, maxBytes: number): Uint8Array
}

export interface Self {
  /** Peer id, base58: proven by Noise. */
  readonly id: string
  readonly name: string
  /** The mesh's name: in the token's audience and in every topic. */
  readonly mesh: string
  /** Grows with each start of this identity (milliseconds since 1970 at the start, never lower than the last one). */
  readonly incarnation: number
}

/** A peer that was admitted and is connected right now. */
export interface Member {
  readonly id: string
  readonly name: string
}

/**
 * What becomes of a gossiped message: `forward` hands it on here and to neighbours, `keep` hands it on here alone,
 * `ignore` drops it, `refuse` drops it and counts against the neighbour that sent it. Refused is only what no honest
 * node forwards, whatever it knows, whenever it heard it, and however it is set up: otherwise honest ones are cut off.
 */
export type Acceptance = 'forward' | 'keep' | 'ignore' | 'refuse'

export interface Gossip {
  /**
   * Sends bytes to all that subscribed to `topic`, over gossipsub. Signing is the caller's business.
   * @returns to how many peers it went directly
   */
  publish(topic: string, bytes: Uint8Array): Promise<number>
  /**
   * Hears `topic`. `accept` runs before anything is forwarded; `from` is the neighbour that sent the bytes, proven by
   * Noise, who need not be their author.
   */
  subscribe(
    topic: string,
    accept: (bytes: Uint8Array, from: string) => Promise<Acceptance>,
    deliver: (bytes: Uint8Array) => void,
  ): Stop
  /** Neighbours known to be subscribed to `topic`. */
  subscribers(topic: string): string[]
  /** Topics that neighbours are subscribed to, without this mesh's prefix. */
  topics(): string[]
  /** Called when a neighbour's subscriptions changed. */
  onSubscriptions(fn: (peer: string) => void): Stop
  /** Resolves when no outbound buffer is above its high-water mark, or after `timeoutMs`. */
  writable(timeoutMs: number): Promise<void>
}

export interface Hasher {
  update(bytes: Uint8Array): void
  /** Of all of it; once. */
  digest(): Uint8Array
}

export interface Port {
  readonly self: Self
  readonly clock: Clock
  readonly timers: Timers
  readonly log: Log
  readonly metrics: Metrics
  readonly compression: Compression
  readonly gossip: Gossip
  /** Fills with cryptographic randomness. */
  random(bytes: number): Uint8Array
  /** SHA-256. */
  hash(bytes: Uint8Array): Uint8Array
  /** SHA-256 of what comes part by part: all at once would hold this node up where it is much. */
  hasher(): Hasher
  /** Ed25519 signature with this node's identity key (64 bytes). */
  sign(bytes: Uint8Array): Promise<Uint8Array>
  /** Checks an Ed25519 signature against the key inside the peer id; false for any malformed input. */
  verify(peer: string, bytes: Uint8Array, signature: Uint8Array): Promise<boolean>
  members(): Member[]
  /**
   * `joined` after admission, `left` when the last connection is gone; `parted` then says that both sides gave it up
   * because nobody needs it, and that the peer is well.
   */
  onMember(fn: (member: Member, change: 'joined' | 'left', parted?: boolean) => void): Stop
  serve<P extends AnyProtocol>(protocol: P, handlers: Handlers<P>): Promise<() => Promise<void>>
  to<P extends AnyProtocol>(peer: string, protocol: P, defaults?: CallOptions): Client<P>
}
