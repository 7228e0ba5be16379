/**
 * One plain libp2p stream: the ceiling of a bulk stream over TCP, Noise and yamux.
 *
 * Nothing but bytes goes over it: no frames, no credit beyond yamux's window, no checks.
 */
import { identify } from '@libp2p/identify'
import type { Stream } from '@libp2p/interface'
import type { Uint8ArrayList } from 'uint8arraylist'
import type { System } from '../system.ts'
import { addressOf, keepFilled, parseAddress, plainNode } from './plain-libp2p.ts'

const PROTOCOL = '/bench/stream/1'
/** Beyond this it waits: libp2p itself would buffer without end. */
const UNSENT_BYTES = 1024 * 1024

const pour = (stream: Stream, chunks: Iterator<Uint8Array>): void => {
  let over = false
  keepFilled(stream, () => {
    while (!over && stream.status === 'open' && stream.writeBufferLength < UNSENT_BYTES) {
      const next = chunks.next()
      over = next.done === true
      if (next.done === true) stream.close().catch((error: Error) => stream.abort(error))
      else stream.send(next.value)
    }
  })
}

export const system: System = {
  bulk: {
    offer: async (open) => {
      const node = await plainNode({ identify: identify() })
      await node.handle(PROTOCOL, (stream) => pour(stream, open()[Symbol.iterator]()))
      return { address: addressOf(node), stop: async () => node.stop() }
    },

    connect: async (address) => {
      const node = await plainNode({ identify: identify() })
      const connection = await node.dial(parseAddress(address))
      return {
        fetch: async (onBytes) => {
          const stream = await connection.newStream(PROTOCOL)
          const { promise: ended, resolve, reject } = Promise.withResolvers<void>()
          stream.addEventListener('message', ({ data }: { data: Uint8Array | Uint8ArrayList }) => {
            for (const piece of data instanceof Uint8Array ? [data] : data) onBytes(piece)
          })
          stream.addEventListener('remoteCloseWrite', () => resolve())
          stream.addEventListener('close', ({ error }) => {
            if (error !== undefined) reject(new Error('the stream broke', { cause: error }))
          })
          await ended
          await stream.close()
        },
        stop: async () => node.stop(),
      }
    },
  },
}
