/**
 * The figures of a node: limits, times and compression.
 *
 * Pure. Each field says what it means, its unit and what a larger or smaller value costs; the defaults are those of the
 * preset `local` (options/presets.ts).
 */
import * as z from 'zod'

const KIB = 1024
const MIB = 1024 * KIB
const HOUR_MS = 3_600_000

const whole = (least: number, most: number, usual: number, about: string) =>
  z.int().min(least).max(most).default(usual).describe(about)

export const Limits = z
  .strictObject({
    maxMessageBytes: whole(
      KIB,
      64 * MIB,
      4 * MIB,
      'Bytes of one message after decoding. Larger lets peers use more memory; send larger things by a stream.',
    ),
    maxFrameBytes: whole(
      KIB,
      16 * MIB,
      128 * KIB,
      'Bytes of one frame that are taken; above it the link is broken off. Must hold one part and 4 KiB of header.',
    ),
    partBytes: whole(
      KIB,
      MIB,
      64 * KIB,
      'Bytes of payload in one frame; larger messages are split. Smaller lets short messages overtake sooner and costs throughput.',
    ),
    maxInFlight: whole(
      1,
      65_536,
      1024,
      'Calls that are open on one link; further ones wait. More hides a longer delay and uses more memory.',
    ),
    maxQueuedCalls: whole(
      0,
      1_000_000,
      10_000,
      'Calls that wait for a place on one link; beyond it they fail at once with COM003.',
    ),
    maxActive: whole(
      1,
      65_536,
      1536,
      'Handlers that run at the same time on this node; one peer gets three quarters of them at most. More uses more memory; fewer makes callers wait.',
    ),
    maxQueuedInbound: whole(
      0,
      1_000_000,
      4096,
      'Requests that wait for a handler; beyond it peers are told COM003. More lets bursts pass and makes them old.',
    ),
    maxParkedStreams: whole(
      1,
      1_000_000,
      4096,
      'Streams whose reader takes nothing, which wait without a handler of maxActive; beyond it they end with COM003. Each keeps what its handler keeps.',
    ),
    maxRequestBytes: whole(
      MIB,
      2 ** 31 - 1,
      512 * MIB,
      'Bytes of requests that are not answered yet, of all peers; beyond it COM003. At least maxPeerRequestBytes.',
    ),
    maxPeerRequestBytes: whole(
      MIB,
      2 ** 31 - 1,
      128 * MIB,
      'The same of one peer, over all its connections. More lets one peer have more large requests in work at once. Half of both is what may wait of answers that are not read.',
    ),
    maxPeerStreams: whole(
      8,
      65_536,
      256,
      'Streams of one peer that this node answers, over all its connections and protocols; further ones are reset. A peer needs one for each protocol.',
    ),
    maxQueuedBytes: whole(
      64 * KIB,
      256 * MIB,
      4 * MIB,
      'Bytes that wait to be sent on one link; beyond it callers wait. More keeps a fast link busy, and uses memory for each slow peer.',
    ),
    maxUnsentBytes: whole(
      64 * KIB,
      16 * MIB,
      256 * KIB,
      'Bytes given to one stream that it has not sent. More raises bulk throughput and the delay of short messages behind it.',
    ),
    streamWindow: whole(
      1,
      65_536,
      100,
      'Items of a streaming answer on their way before the reader has taken one. More hides a longer delay.',
    ),
    maxConnections: whole(
      1,
      10_000,
      300,
      'Connections of this node, in both directions; beyond it new ones are refused. About 100 KiB each.',
    ),
    maxPeersFullMesh: whole(
      2,
      1024,
      64,
      'Members up to which each connects to each. Above it a node keeps connections to some and dials others on demand.',
    ),
    maxAgents: whole(
      1,
      4096,
      1024,
      'Members that the directory of this node holds; beyond it they can be called by their peer id where the DHT is on. Usually 2 KiB each, up to 64 KiB.',
    ),
    maxDiskBytes: whole(
      MIB,
      2 ** 50,
      2 * 1024 * MIB,
      'Bytes that this node keeps on disk, all together: history of events, outbox, inbox, dead letters. Beyond it the oldest history goes first, then senders wait. The files take some more until they are compacted; the journal is bounded by itself.',
    ),
    inboundConnectionsPerSecond: whole(
      1,
      100_000,
      1000,
      'New connections a second that are taken from one IP address. Fewer holds off a flood; too few fails nodes behind one address that start together.',
    ),
    maxHeldStreams: whole(
      1,
      1024,
      16,
      'Streams of one peer that are held, unread, until it is admitted; beyond it they are reset. Peers that behave open three or four.',
    ),
  })
  .superRefine((limits, context) => {
    if (limits.partBytes + 4 * KIB > limits.maxFrameBytes) {
      context.addIssue({
        code: 'custom',
        path: ['maxFrameBytes'],
        message: `${limits.maxFrameBytes} cannot hold a part of ${limits.partBytes} bytes and its header of 4096`,
      })
    }
  })

/** What is shared out beside slots and places in line. */
export const slotBounds = (limits: z.output<typeof Limits>) => ({
  maxParked: limits.maxParkedStreams,
  maxBytes: Math.max(limits.maxRequestBytes, limits.maxPeerRequestBytes),
  maxPeerBytes: limits.maxPeerRequestBytes,
})

/** Of answers that wait to be read: half of what requests may hold, since they are taken away as they come. */
export const unreadBounds = (limits: z.output<typeof Limits>) => {
  const { maxBytes, maxPeerBytes } = slotBounds(limits)
  return { maxBytes: maxBytes / 2, maxPeerBytes: maxPeerBytes / 2 }
}

export const Timings = z
  .strictObject({
    callTimeoutMs: whole(
      1,
      2 ** 31 - 1,
      30_000,
      'Milliseconds until a call gives up, where neither the method nor the caller says otherwise.',
    ),
    maxCallMs: whole(
      1_000,
      2 ** 31 - 1,
      600_000,
      'Milliseconds that a caller may have for one answer of this node; a longer deadline is lowered to it. A method that declares a longer timeoutMs keeps that, and progress goes on putting the deadline off.',
    ),
    maxStreamMs: whole(1_000, 2 ** 31 - 1, HOUR_MS, 'The same for a stream.'),
    streamIdleMs: whole(
      1_000,
      2 ** 31 - 1,
      300_000,
      'Milliseconds that a stream waits for a reader that takes nothing; then it ends with COM001. Longer spares readers that take a long time over an item.',
    ),
    admissionTimeoutMs: whole(
      100,
      60_000,
      5_000,
      'Milliseconds in which a peer must prove its membership. Longer lets strangers hold a connection longer.',
    ),
    dialTimeoutMs: whole(
      100,
      120_000,
      5_000,
      'Milliseconds until a dial gives up. Too short fails slow links; too long finds out late that nobody is there.',
    ),
    backoffMinMs: whole(
      10,
      60_000,
      250,
      'Milliseconds until a failed dial is tried again the first time; it doubles each time.',
    ),
    backoffMaxMs: whole(
      10,
      HOUR_MS,
      5_000,
      'Milliseconds between two tries at most. Shorter heals sooner and dials absent peers more often.',
    ),
    probePeriodMs: whole(
      50,
      60_000,
      500,
      'Milliseconds between two probes of a node, each of the neighbour that it heard longest ago. Shorter finds a frozen peer sooner and costs two messages each.',
    ),
    probeTimeoutMs: whole(
      10,
      60_000,
      200,
      'Milliseconds until others are asked to probe a peer that did not answer; with them it has two and a half times as long. Shorter suspects busy peers.',
    ),
    suspectAfter: whole(
      1,
      100,
      2,
      'Probes in a row, by way of others too, without an answer after which a peer gets no new work. More spares busy peers.',
    ),
    deadAfterMs: whole(
      100,
      HOUR_MS,
      5_000,
      'Milliseconds of silence, about, after which a peer is dead and disconnected, where others find the same; three times as long where nobody confirms it. Shorter moves its work sooner and drops busy peers.',
    ),
    maxSkewMs: whole(
      100,
      HOUR_MS,
      5_000,
      'Milliseconds that the clock of a peer may differ before the log and the readiness say so; nothing else follows from it. Beyond 60 s peers refuse each other.',
    ),
    stuckAfterMs: whole(
      1_000,
      HOUR_MS,
      30_000,
      'Milliseconds without a sign of work after which an agent with requests in work counts as stuck, and others are asked first. Shorter finds it sooner, and asks handlers for progress() more often.',
    ),
    recordTtlMs: whole(
      100,
      HOUR_MS,
      30_000,
      'Milliseconds that an agent is listed without a sign of life. Longer survives partitions and lists the dead longer.',
    ),
    syncPeriodMs: whole(
      10,
      60_000,
      1_000,
      'Milliseconds between two comparisons of the directory with a random neighbour. Shorter repairs lost gossip sooner.',
    ),
    resolvePeriodMs: whole(
      1_000,
      HOUR_MS,
      30_000,
      'Milliseconds between two questions for what a join name stands for. Shorter sees new nodes behind it sooner.',
    ),
    drainMs: whole(
      0,
      HOUR_MS,
      5_000,
      'Milliseconds that a stop waits for running calls before it cancels them. 0 cancels at once.',
    ),
  })
  .superRefine((timings, context) => {
    const atMost = (
      smaller: 'backoffMinMs' | 'probeTimeoutMs' | 'syncPeriodMs',
      larger: keyof typeof timings,
    ): void => {
      if (timings[smaller] <= timings[larger]) return
      context.addIssue({
        code: 'custom',
        path: [smaller],
        message: `${timings[smaller]} must not be above ${larger}, which is ${timings[larger]}`,
      })
    }
    atMost('backoffMinMs', 'backoffMaxMs')
    atMost('probeTimeoutMs', 'deadAfterMs')
    atMost('syncPeriodMs', 'recordTtlMs')
  })

export const CompressionOptions = z.strictObject({
  minBytes: whole(
    64,
    64 * MIB,
    1024,
    'Bytes from which on a payload is compressed. Smaller saves little and costs processor time for each message.',
  ),
  encodings: z
    .array(z.enum(['zstd', 'gzip']))
    .max(2)
    .default([])
    .describe('What this node offers, best first; none switches compression off. The other side must have it too.'),
})
