/**
 * A libp2p stream as the byte duplex of a link.
 *
 * Works round what LIBP2P 3 streams do not promise: `onDrain()` is never awaited (its promise is not renewed) and
 * `for await` is not used (no read backpressure); `drain` and `idle` both mean "try again", whatever they say, and a
 * stream that was reset before anyone listened is reported as closed.
 */
import type { Stream, StreamCloseEvent, StreamMessageEvent } from '@libp2p/interface'
import type { Duplex, DuplexListeners } from '../../protocols/wire/duplex.ts'

const alive = (stream: Stream): boolean => stream.status === 'open'

export const streamDuplex = (stream: Stream): Duplex => {
  let ended = false
  let on: DuplexListeners | undefined

  const end = (reason?: Error): void => {
    if (ended) return
    ended = true
    on?.close(reason)
  }
  const room = (): void => {
    if (!ended) on?.writable()
  }

  return {
    send(bytes) {
      if (ended || stream.writeStatus !== 'writable') return
      stream.send(bytes)
    },
    buffered: () => stream.writeBufferLength,
    pause() {
      if (!ended && stream.readStatus === 'readable') stream.pause()
    },
    resume() {
      if (!ended && stream.readStatus === 'paused') stream.resume()
    },
    listen(listeners) {
      on = listeners
      stream.addEventListener('message', (event: StreamMessageEvent) => {
        const data = event.data
        if (data instanceof Uint8Array) listeners.data(data)
        else for (const part of data) listeners.data(part)
      })
      stream.addEventListener('drain', room)
      stream.addEventListener('idle', room)
      stream.addEventListener('close', (event: StreamCloseEvent) => end(event.error))
      stream.addEventListener('remoteCloseWrite', () => {
        // A link has no use for a half: when the other side is done with it, so are we.
        stream.close().catch((error: Error) => stream.abort(error))
        end()
      })
      if (!alive(stream))
        queueMicrotask(() => end(new Error(`the stream was ${stream.status} when it was handed over`)))
    },
    close() {
      if (ended) return
      stream.close().catch((error: Error) => stream.abort(error))
      end()
    },
    abort(reason) {
      stream.abort(reason)
      end(reason)
    },
  }
}
