/** Two secured connections over real loopback TCP, without a muxer, and echo nodes: what the transport tests share. */
import { once } from 'node:events'
import { noise } from '@chainsafe/libp2p-noise'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Connection, Logger, MessageStream, Stream, Upgrader } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p, type Libp2p } from 'libp2p'
import type { Uint8ArrayList } from 'uint8arraylist'
import { tunedNoise } from '../../../../../node/network/overrides/noise.ts'
import { tunedYamux } from '../../../../../node/network/overrides/yamux.ts'

export type Kind = 'stock' | 'tuned'

const nothing = (): void => {}
const log: Logger = Object.assign(nothing, { error: nothing, trace: nothing, enabled: false, newScope: () => log })
const logger = { forComponent: () => log }

const running: (() => Promise<unknown>)[] = []

/** After each test, passed or failed: ends what the test started. */
export const stopAll = async (): Promise<void> => {
  await Promise.all(running.splice(0).map((stop) => stop()))
}

/** A promise with a deadline, so that a lost byte fails a test instead of hanging it; unit tests get what other tests leave of the processor. */
export const within = async <T>(what: string, promise: Promise<T>, timeoutMs = 60_000): Promise<T> => {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(`${what} took longer than ${timeoutMs} ms`)), timeoutMs)
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Collects what a stream receives and lets a test wait for a number of bytes. */
export const collect = (stream: MessageStream): { bytes(): Buffer; until(count: number): Promise<Buffer> } => {
  const chunks: Uint8Array[] = []
  let total = 0
  let wake = nothing
  stream.addEventListener('message', ({ data }) => {
    chunks.push(data.slice())
    total += data.byteLength
    wake()
  })
  const bytes = (): Buffer => Buffer.concat(chunks)
  const arrived = async (count: number): Promise<Buffer> => {
    while (total < count) {
      const more = Promise.withResolvers<void>()
      wake = more.resolve
      await more.promise
    }
    return bytes()
  }
  return { bytes, until: (count) => within(`receiving ${count} bytes`, arrived(count)) }
}

export interface Ends {
  /** The secured ends. */
  client: MessageStream
  server: MessageStream
  /** The TCP connections below them. */
  rawClient: MessageStream
  rawServer: MessageStream
}

const encrypter = async (kind: Kind) => {
  const privateKey = await generateKeyPair('Ed25519')
  const upgrader = { getStreamMuxers: () => new Map() } as unknown as Upgrader
  const components = { privateKey, peerId: peerIdFromPrivateKey(privateKey), logger, upgrader }
  return (kind === 'tuned' ? tunedNoise() : noise())(components)
}

/**
 * `prepare` sees the dialled TCP connection before the handshake, `early` the dialler's end as soon as that is secured,
 * which is before the listener's is.
 */
export const securedPair = async (
  client: Kind,
  server: Kind,
  prepare: (raw: MessageStream) => void = nothing,
  early: (secured: MessageStream) => void = nothing,
): Promise<Ends> => {
  const transport = tcp()({ logger })
  const accepted = Promise.withResolvers<MessageStream>()
  const listener = transport.createListener({
    upgrader: { upgradeInbound: async (raw: MessageStream) => accepted.resolve(raw) } as unknown as Upgrader,
  })
  await listener.listen(multiaddr('/ip4/127.0.0.1/tcp/0'))
  const [address] = listener.getAddrs()
  if (address === undefined) throw new Error('the listener has no address')
  const dialled = await transport.dial(address, {
    signal: AbortSignal.timeout(5000),
    upgrader: { upgradeOutbound: async (raw: MessageStream) => raw } as unknown as Upgrader,
  })
  const rawClient = dialled as unknown as MessageStream
  const rawServer = await accepted.promise
  running.push(() => {
    rawClient.abort(new Error('the test is over'))
    rawServer.abort(new Error('the test is over'))
    return listener.close()
  })
  prepare(rawClient)
  const [outbound, inbound] = await Promise.all([encrypter(client), encrypter(server)])
  const dialling = outbound.secureOutbound(rawClient).then((secured) => {
    early(secured.connection)
    return secured
  })
  const ends = await within('the handshake', Promise.all([dialling, inbound.secureInbound(rawServer)]))
  return { client: ends[0].connection, server: ends[1].connection, rawClient, rawServer }
}

/** Counts writes to a connection from now on. */
export const countSends = (raw: MessageStream): { sends: (Uint8Array | Uint8ArrayList)[] } => {
  const seen: { sends: (Uint8Array | Uint8ArrayList)[] } = { sends: [] }
  const send = raw.send
  raw.send = (data) => {
    seen.sends.push(data)
    return send.call(raw, data)
  }
  return seen
}

const node = (kind: Kind, listen: string[]): Promise<Libp2p> =>
  createLibp2p({
    addresses: { listen },
    transports: [tcp()],
    connectionEncrypters: [(kind === 'tuned' ? tunedNoise : noise)()],
    streamMuxers: [(kind === 'tuned' ? tunedYamux : yamux)()],
    connectionMonitor: { enabled: false },
  })

/** The connection between two nodes, as the dialler sees it; `serve` runs on the one that listens. */
export const nodes = async (dial: Kind, listen: Kind, serve: (stream: Stream) => void): Promise<Connection> => {
  const [dialler, listener] = await Promise.all([node(dial, []), node(listen, ['/ip4/127.0.0.1/tcp/0'])])
  running.push(async () => Promise.all([dialler.stop(), listener.stop()]))
  await listener.handle('/test/1', serve, { maxInboundStreams: 500 })
  return dialler.dial(listener.getMultiaddrs())
}

export const open = (connection: Connection): Promise<Stream> =>
  connection.newStream('/test/1', { maxOutboundStreams: 500, signal: AbortSignal.timeout(10_000) })

/** Sends all of it in chunks of 64 KiB, waiting whenever the stream is full. */
export const sendAll = async (stream: Stream, body: Uint8Array): Promise<void> => {
  const chunkBytes = 64 * 1024
  for (let at = 0; at < body.byteLength; at += chunkBytes) {
    stream.send(body.subarray(at, at + chunkBytes))
    while (stream.writeBufferLength > 0) {
      const given = new AbortController()
      const { signal } = given
      await Promise.race(['drain', 'idle'].map((event) => once(stream, event, { signal }))).finally(() => given.abort())
    }
  }
}
