/**
 * Yamux as upstream makes it, with fewer window updates: upstream sends one behind every data frame it receives, which
 * costs a lone request as much as the request itself. Here one goes when half of the receive window is used.
 *
 * A stream's SYN and ACK go out at once as ever, a paused stream sends nothing and a resumed
 * one sends its whole update. A sender that has to wait has used more than half of the window, so an update is due:
 * nothing stalls. Both peers need the same initial window, as upstream does. A window never grows above what a paused
 * stream may hold. Source: yamux specification, "Flow Control".
 */
import { type YamuxMuxerInit, yamux } from '@libp2p/yamux'
import { StreamState, type YamuxStream } from '@libp2p/yamux/stream'

/** The release whose members are overridden here; the unit test fails when another one is installed. */
export const YAMUX_REVIEWED = '8.0.3'

/** Upstream's default for `maxReadBufferLength`, bytes: a stream that holds more is reset. */
const READ_BUFFER_BYTES = 4 * 1024 * 1024

/**
 * Streams that a peer may open before libp2p listens for them; one more ends the connection. Upstream's 10 are fewer
 * than the protocols of a mesh, and streams that are opened together arrive in one read when their sender gathers.
 */
export const EARLY_STREAMS = 128

type Muxers = ReturnType<typeof yamux>

/** Bytes that the peer may still send on this stream, and the window that they are counted against. */
const windowOf = (stream: object): { left: number; size: number } | undefined => {
  if (!('recvWindowCapacity' in stream) || typeof stream.recvWindowCapacity !== 'number') return undefined
  if (!('recvWindow' in stream) || typeof stream.recvWindow !== 'number') return undefined
  return { left: stream.recvWindowCapacity, size: stream.recvWindow }
}

/** Overrides two methods of upstream's stream on this instance; a stream of another shape behaves as upstream's. */
const thinned = (stream: YamuxStream): YamuxStream => {
  const update = stream.sendWindowUpdate
  const resume = stream.sendResume
  let resuming = false
  stream.sendWindowUpdate = () => {
    const flagIsDue = stream.state === StreamState.Init || stream.state === StreamState.SYNReceived
    const window = flagIsDue || resuming ? undefined : windowOf(stream)
    if (window === undefined || window.left <= window.size / 2) update.call(stream)
  }
  stream.sendResume = () => {
    // `resume()` hands out what was buffered first, and a reader that is full again pauses in there. Upstream would
    // forget that pause and let the peer send until the read buffer overflows.
    if (stream.readStatus === 'paused') return
    resuming = true
    try {
      resume.call(stream)
    } finally {
      resuming = false
    }
  }
  return stream
}

/** A stream muxer for `createLibp2p({ streamMuxers })`; `init` is upstream's. */
export const tunedYamux =
  (init: YamuxMuxerInit = {}): Muxers =>
  () => {
    const limits = init.streamOptions
    // Upstream lets a window grow to 16 MiB, and resets a stream whose reader pauses while so much is on its way.
    const maxStreamWindowSize = Math.max(
      limits?.initialStreamWindowSize ?? 0,
      limits?.maxReadBufferLength ?? READ_BUFFER_BYTES,
    )
    const factory = yamux({
      maxEarlyStreams: EARLY_STREAMS,
      ...init,
      streamOptions: { maxStreamWindowSize, ...limits },
    })()
    const create = factory.createStreamMuxer
    factory.createStreamMuxer = (connection) => {
      const muxer = create.call(factory, connection)
      const { onCreateStream, onRemoteStream } = muxer
      muxer.onCreateStream = () => thinned(onCreateStream.call(muxer))
      muxer.onRemoteStream = (stream) => onRemoteStream.call(muxer, thinned(stream))
      return muxer
    }
    return factory
  }
