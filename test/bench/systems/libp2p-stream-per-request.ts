/**
 * Plain libp2p the way most programs use it: a new stream for each request, JSON both ways, closed when answered.
 *
 * Bulk is one stream of another protocol on the same connection.
 */
import { identify } from '@libp2p/identify'
import type { Connection, Stream } from '@libp2p/interface'
import type { Uint8ArrayList } from 'uint8arraylist'
import { BULK_ITEM_BYTES, type System } from '../system.ts'
import { echoEnds } from './libp2p-echo.ts'
import { keepFilled, plainNode } from './plain-libp2p.ts'

const BULK = '/bench/bulk/1'
/** More than this is never left unsent; libp2p itself would buffer without end. */
const UNSENT_BYTES = 256 * 1024

const flood = (stream: Stream): void => {
  const item = new Uint8Array(BULK_ITEM_BYTES).fill(1)
  keepFilled(stream, () => {
    while (stream.status === 'open' && stream.writeBufferLength < UNSENT_BYTES) stream.send(item)
  })
}

const consume = async (connection: Connection, onBytes: (bytes: number) => void): Promise<never> => {
  const stream = await connection.newStream(BULK)
  const { promise, reject } = Promise.withResolvers<never>()
  stream.addEventListener('message', ({ data }: { data: Uint8Array | Uint8ArrayList }) => onBytes(data.byteLength))
  stream.addEventListener('close', ({ error }) => reject(new Error('the bulk stream closed', { cause: error ?? null })))
  return promise
}

export const system: System = {
  rpc: echoEnds(() => plainNode({ identify: identify() }), {
    onNode: (node) => node.handle(BULK, flood),
    onConnection: (connection) => ({ bulk: (onBytes) => consume(connection, onBytes) }),
  }),
}
