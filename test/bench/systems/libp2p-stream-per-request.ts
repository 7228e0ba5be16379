/**
 * Plain libp2p the way most programs use it: a new stream for each request, JSON both ways, closed when answered.
 *
 * The caller closes its write side after the request and the responder answers at the end of it, so no framing is
 * needed. Bulk is one stream of another protocol on the same connection.
 */

import { identify } from '@libp2p/identify'
import type { Connection, Stream } from '@libp2p/interface'
import type { Uint8ArrayList } from 'uint8arraylist'
import { asBody, type Body } from '../body.ts'
import { BULK_ITEM_BYTES, type System } from '../system.ts'
import { addressOf, MAX_STREAMS, parseAddress, plainNode } from './plain-libp2p.ts'

const ECHO = '/bench/echo/1'
const BULK = '/bench/bulk/1'
/** More than this is never left unsent; libp2p itself would buffer without end. */
const UNSENT_BYTES = 256 * 1024
const LIMITS = { maxInboundStreams: MAX_STREAMS, maxOutboundStreams: MAX_STREAMS }

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** All bytes until the other side closes its write side, decoded. */
const readBody = async (stream: Stream): Promise<Body> => {
  const parts: Uint8Array[] = []
  for await (const part of stream) parts.push(part.subarray())
  return asBody(JSON.parse(decoder.decode(parts.length === 1 ? parts[0] : Buffer.concat(parts))))
}

const writeBody = async (stream: Stream, body: Body): Promise<void> => {
  stream.send(encoder.encode(JSON.stringify(body)))
  await stream.close()
}

const flood = (stream: Stream): void => {
  const item = new Uint8Array(BULK_ITEM_BYTES).fill(1)
  let planned = false
  const pump = (): void => {
    planned = false
    while (stream.status === 'open' && stream.writeBufferLength < UNSENT_BYTES) stream.send(item)
  }
  // Never within the event, and not in its microtasks either. `idle` is dispatched while the stream is still sending:
  // what is sent right then is only queued, and nothing wakes the stream again. On `drain` the streams of a connection
  // get their turn in the order of opening: one that refills at once fills the connection again before a later stream
  // has its turn, and calls beside it never end.
  const plan = (): void => {
    if (planned) return
    planned = true
    setImmediate(pump)
  }
  stream.addEventListener('drain', plan)
  stream.addEventListener('idle', plan)
  pump()
}

const consume = async (connection: Connection, onBytes: (bytes: number) => void): Promise<never> => {
  const stream = await connection.newStream(BULK)
  const { promise, reject } = Promise.withResolvers<never>()
  stream.addEventListener('message', ({ data }: { data: Uint8Array | Uint8ArrayList }) => onBytes(data.byteLength))
  stream.addEventListener('close', ({ error }) => reject(new Error('the bulk stream closed', { cause: error ?? null })))
  return promise
}

export const system: System = {
  rpc: {
    respond: async () => {
      const node = await plainNode({ identify: identify() })
      await node.handle(
        ECHO,
        async (stream) => {
          try {
            await writeBody(stream, await readBody(stream))
          } catch (error) {
            stream.abort(error instanceof Error ? error : new Error(String(error)))
          }
        },
        LIMITS,
      )
      await node.handle(BULK, flood)
      return { address: addressOf(node), stop: async () => node.stop() }
    },

    connect: async (address) => {
      const node = await plainNode({ identify: identify() })
      const connection = await node.dial(parseAddress(address))
      return {
        call: async (body) => {
          const stream = await connection.newStream(ECHO, LIMITS)
          const answer = readBody(stream)
          await writeBody(stream, body)
          return answer
        },
        bulk: (onBytes) => consume(connection, onBytes),
        stop: async () => node.stop(),
      }
    },
  },
}
