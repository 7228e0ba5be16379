/** Echo over plain libp2p: a new stream for each request, JSON both ways, closed when answered. */
import type { Connection, Libp2p, Stream } from '@libp2p/interface'
import { asBody, type Body } from '../body.ts'
import type { Caller, RpcEnds } from '../system.ts'
import { addressOf, MAX_STREAMS, parseAddress } from './plain-libp2p.ts'

const ECHO = '/bench/echo/1'
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

const answer = async (stream: Stream): Promise<void> => {
  try {
    await writeBody(stream, await readBody(stream))
  } catch (error) {
    stream.abort(error instanceof Error ? error : new Error(String(error)))
  }
}

/** What a system adds on the connection of its calls. */
export interface Extras {
  onNode?(node: Libp2p): Promise<void>
  onConnection?(connection: Connection): Pick<Caller, 'bulk'>
}

/** The caller closes its write side after the request and the responder answers at the end of it: no framing. */
export const echoEnds = (start: () => Promise<Libp2p>, { onNode, onConnection }: Extras = {}): RpcEnds => ({
  respond: async () => {
    const node = await start()
    await node.handle(ECHO, answer, LIMITS)
    await onNode?.(node)
    return { address: addressOf(node), stop: async () => node.stop() }
  },

  connect: async (address) => {
    const node = await start()
    const connection = await node.dial(parseAddress(address))
    return {
      call: async (body) => {
        const stream = await connection.newStream(ECHO, LIMITS)
        const read = readBody(stream)
        await writeBody(stream, body)
        return read
      },
      ...onConnection?.(connection),
      stop: async () => node.stop(),
    }
  },
})
