/**
 * A libp2p node that is no Parley node: none of Parley's gates, bounds or good manners, for tests that misbehave.
 *
 * Stock transports, encrypter and muxer, and gossipsub without a gate. It joins a mesh only where `admit` is called.
 */
import { randomUUID } from 'node:crypto'
import { type GossipSub, type GossipSubComponents, gossipsub } from '@chainsafe/libp2p-gossipsub'
import { noise } from '@chainsafe/libp2p-noise'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { type Identify, identify } from '@libp2p/identify'
import type { Connection, PrivateKey, Stream } from '@libp2p/interface'
import { type Ping, ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p, type Libp2p } from 'libp2p'
import { type Authority, deriveAuthority } from '../../node/trust/secret.ts'
import { issueToken } from '../../node/trust/token.ts'
import { type Frame, frame, KIND, writeFrame } from '../../protocols/wire/frames/frame.ts'
import { ProtobufWriter } from '../../protocols/wire/frames/protobuf.ts'
import { until } from './until.ts'

/** Stretching a secret takes a tenth of a second on purpose; each is stretched once. */
const authorities = new Map<string, Promise<Authority>>()
const authorityOf = (secret: string, mesh: string): Promise<Authority> => {
  const key = `${mesh} ${secret}`
  const known = authorities.get(key) ?? deriveAuthority(secret, mesh)
  authorities.set(key, known)
  return known
}

export interface RawPeer {
  readonly id: string
  readonly libp2p: Libp2p<{ identify: Identify; ping: Ping; gossip: GossipSub }>
  /** @param options with `force` also where there is a connection already */
  dial(address: string, options?: { force?: boolean }): Promise<Connection>
  /** Signs with this peer's key. */
  sign(bytes: Uint8Array): Promise<Uint8Array>
  /** A membership token for this peer, as whoever knows the secret can make it. */
  token(mesh: string, secret: string, claims?: { caps?: string[]; livesS?: number }): Promise<string>
  /** Shows the tokens; resolves once the other side has answered that it is let in. */
  admit(connection: Connection, mesh: string, tokens: string[]): Promise<void>
  /** The protocols that the peer says it speaks. */
  protocolsOf(connection: Connection): Promise<string[]>
  stop(): Promise<void>
}

/** Bytes that came over a stream, and whether it still lives. */
export const watch = (stream: Stream): { bytes(): number; text(): string; gone(): boolean } => {
  const chunks: Uint8Array[] = []
  stream.addEventListener('message', ({ data }) => {
    chunks.push(data instanceof Uint8Array ? data : data.subarray())
  })
  return {
    bytes: () => chunks.reduce((sum, { length }) => sum + length, 0),
    text: () => Buffer.concat(chunks).toString('latin1'),
    gone: () => stream.status !== 'open',
  }
}

export const request = (method: string, payload: Uint8Array): Frame => {
  const made = frame(KIND.request, 1, payload)
  made.method = method
  made.timeoutMs = 5_000
  return made
}

/** The first bytes of a link: a HELLO, and then these frames. */
export const linkBytes = (...frames: Frame[]): Uint8Array => {
  const first = frame(KIND.hello, 0)
  const session = new Uint8Array(8)
  first.hello = { version: '1.0.0', encodings: [], maxMessageBytes: 1 << 22, session, startedAtMs: Date.now() }
  const out = new ProtobufWriter(1024)
  for (const each of [first, ...frames]) writeFrame(out, each)
  return out.finish()
}

export const requestBytes = (method: string, input: unknown): Uint8Array =>
  linkBytes(request(method, Buffer.from(JSON.stringify(input))))

/** gossipsub opens its stream to a new peer only after `turn`. */
export const lateGossip = (components: GossipSubComponents, turn: Promise<void>): GossipSubComponents => {
  const { registrar } = components
  const register: typeof registrar.register = (protocol, topology) =>
    registrar.register(protocol, {
      ...topology,
      onConnect: (peer, connection) => {
        void turn.then(() => topology.onConnect?.(peer, connection))
      },
    })
  const late = new Proxy(registrar, {
    get(target, key) {
      if (key === 'register') return register
      const value = Reflect.get(target, key, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  return new Proxy(components, {
    get: (target, key) => (key === 'registrar' ? late : Reflect.get(target, key, target)),
  })
}

export interface RawPeerOptions {
  readonly privateKey?: PrivateKey
  readonly listen?: string[]
  /** What its gossipsub stands on, in place of libp2p's own. */
  underGossip?(components: GossipSubComponents): GossipSubComponents
}

export const startRawPeer = async (options: RawPeerOptions = {}): Promise<RawPeer> => {
  const { privateKey = await generateKeyPair('Ed25519'), listen = [], underGossip = (given) => given } = options
  const libp2p = await createLibp2p({
    privateKey,
    addresses: { listen },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionGater: { denyDialMultiaddr: () => false },
    connectionMonitor: { enabled: false },
    services: {
      identify: identify(),
      ping: ping(),
      gossip: (components: GossipSubComponents) =>
        gossipsub({ globalSignaturePolicy: 'StrictNoSign', allowPublishToZeroTopicPeers: true })(
          underGossip(components),
        ),
    },
  })
  const id = libp2p.peerId.toString()
  return {
    id,
    libp2p,
    dial: (address, options) => libp2p.dial(multiaddr(address), options),
    sign: async (bytes) => privateKey.sign(bytes),
    async token(mesh, secret, { caps = ['*'], livesS = 3600 } = {}) {
      const iat = Math.floor(Date.now() / 1000)
      const claims = { sub: id, aud: mesh, iat, exp: iat + livesS, jti: randomUUID(), roles: [], caps }
      return issueToken(await authorityOf(secret, mesh), claims)
    },
    async admit(connection, mesh, tokens) {
      const stream = await connection.newStream('/parley/admission/1')
      const seen = watch(stream)
      const card = { tokens, mesh, name: 'raw', incarnation: Date.now(), nowMs: Date.now() }
      stream.send(requestBytes('admit', card))
      await until('the raw peer is admitted', () => seen.text().includes('"incarnation"'))
    },
    protocolsOf: ({ remotePeer }) =>
      until('the peer was identified', async () => {
        const { protocols } = await libp2p.peerStore.get(remotePeer)
        return protocols.length > 0 && protocols
      }),
    stop: async () => {
      await libp2p.stop()
    },
  }
}
