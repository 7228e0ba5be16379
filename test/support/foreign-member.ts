/**
 * A member of a mesh made from docs/protocol.md and the .proto files alone: nothing of this package is imported. It is
 * admitted, calls and is called, answers probes, is listed, and publishes and hears events.
 */
import { createHash, createPrivateKey, createPublicKey, scryptSync, sign, verify } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { type GossipSub, gossipsub } from '@chainsafe/libp2p-gossipsub'
import { noise } from '@chainsafe/libp2p-noise'
import { generateKeyPair, publicKeyFromRaw } from '@libp2p/crypto/keys'
import { type Identify, identify } from '@libp2p/identify'
import type { Connection, Stream } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { type Ping, ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { decode as fromCbor, encode as toCbor } from 'cborg'
import { createLibp2p, type Libp2p } from 'libp2p'
import protobuf from 'protobufjs'

const proto = (path: string) => protobuf.loadSync(fileURLToPath(new URL(`../../protocols/${path}`, import.meta.url)))
const Frame = proto('wire/parley.proto').lookupType('parley.wire.v1.Frame')
const events = proto('events/batch.proto')
const SignedBatch = events.lookupType('parley.events.v1.SignedBatch')
const Batch = events.lookupType('parley.events.v1.Batch')
const KIND = { request: 0, response: 1, error: 5, oneWay: 8, hello: 9 } as const
const CBOR = 1

type Fields = Record<string, unknown>
type Content = 'json' | 'cbor'
type Answer = (input: unknown, peer: string) => unknown

const write = (content: Content, value: unknown): Uint8Array =>
  content === 'cbor' ? toCbor(value) : Buffer.from(JSON.stringify(value))
const read = (content: Content, bytes: Uint8Array): unknown =>
  content === 'cbor' ? fromCbor(bytes) : JSON.parse(Buffer.from(bytes).toString())

const signedOf = (mesh: string, body: Uint8Array): Uint8Array =>
  Buffer.concat([Buffer.from(`parley/events/2\n${mesh}\n`), createHash('sha256').update(body).digest()])

/** An Ed25519 key of 32 bytes, as Node has it (RFC 8410). */
const keyOfSeed = (seed: Uint8Array) =>
  createPrivateKey({
    key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]),
    format: 'der',
    type: 'pkcs8',
  })

const base64url = (bytes: Uint8Array | string): string => Buffer.from(bytes).toString('base64url')

const tokenOf = (secret: string, mesh: string, peer: string): string => {
  const authority = keyOfSeed(
    scryptSync(secret, `parley/authority/1\n${mesh}`, 32, { N: 32_768, r: 8, p: 1, maxmem: 2 ** 26 }),
  )
  const { x: iss } = createPublicKey(authority).export({ format: 'jwk' })
  const iat = Math.floor(Date.now() / 1000)
  const claims = { iss, sub: peer, aud: mesh, iat, exp: iat + 3600, jti: 'foreign-1', roles: [], caps: ['*'] }
  const head = base64url(JSON.stringify({ alg: 'EdDSA', typ: 'parley-membership+jwt' }))
  const signed = `${head}.${base64url(JSON.stringify(claims))}`
  return `${signed}.${base64url(sign(null, Buffer.from(signed), authority))}`
}

/** Frames with their length in front, one after the other. */
const onFrames = (stream: Stream, take: (frame: Fields) => void): void => {
  let rest = new Uint8Array(0)
  stream.addEventListener('message', ({ data }) => {
    rest = Buffer.concat([rest, data instanceof Uint8Array ? data : data.subarray()])
    for (;;) {
      const reader = protobuf.Reader.create(rest)
      try {
        const end = reader.uint32() + reader.pos
        if (end > rest.length) return
        const frame = Frame.toObject(Frame.decode(rest.subarray(reader.pos, end)), { longs: Number, defaults: true })
        rest = rest.subarray(end)
        take(frame)
      } catch {
        // The length is not whole.
        return
      }
    }
  })
}

const put = (stream: Stream, fields: Fields): void =>
  void stream.send(Frame.encodeDelimited(Frame.create(fields)).finish())
const hello = (stream: Stream): void =>
  put(stream, {
    kind: KIND.hello,
    hello: { version: '1.0.0', maxMessageBytes: 1 << 22, session: new Uint8Array(8).fill(7), startedAtMs: Date.now() },
  })

export interface ForeignMember {
  readonly id: string
  /** Connects, and shows its token. */
  join(address: string): Promise<Connection>
  call(connection: Connection, protocol: string, method: string, input: unknown, content?: Content): Promise<unknown>
  /** Pushes its record, so that it is listed. */
  announce(connection: Connection): Promise<void>
  hears(topic: string, on: (data: unknown) => void): void
  publish(topic: string, data: unknown): Promise<void>
  probed(): number
  stop(): Promise<void>
}

/** @param offers a protocol with one method of one answer, in JSON */
export const startForeignMember = async (
  mesh: string,
  secret: string,
  offers: { name: string; method: string; answer: Answer },
): Promise<ForeignMember> => {
  const privateKey = await generateKeyPair('Ed25519')
  const libp2p: Libp2p<{ identify: Identify; ping: Ping; gossip: GossipSub }> = await createLibp2p({
    privateKey,
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionGater: { denyDialMultiaddr: () => false },
    services: {
      identify: identify(),
      ping: ping(),
      gossip: gossipsub({
        globalSignaturePolicy: 'StrictNoSign',
        msgIdFn: ({ data }) => createHash('sha256').update(data).digest(),
        allowPublishToZeroTopicPeers: true,
        floodPublish: true,
      }),
    },
  })
  const id = libp2p.peerId.toString()
  const incarnation = Date.now()
  const card = () => ({
    tokens: [tokenOf(secret, mesh, id)],
    mesh,
    name: 'foreign',
    incarnation,
    nowMs: Date.now(),
  })

  let probed = 0
  const beat = () => {
    probed += 1
    return { agentId: id, incarnation, load: 0, queueLength: 0 }
  }
  const nothing = new Uint8Array(0)
  const served: Record<string, { content: Content; methods: Record<string, Answer> }> = {
    '/parley/admission/1': { content: 'json', methods: { admit: card } },
    '/parley/presence/1': { content: 'json', methods: { beat } },
    '/parley/directory/1': {
      content: 'cbor',
      methods: {
        sync: () => ({ records: [], wants: nothing, fresher: nothing, differs: false, more: false }),
        push: () => null,
      },
    },
    [`/parley/${offers.name}/1`]: { content: 'json', methods: { [offers.method]: offers.answer } },
  }
  for (const [protocol, { content, methods }] of Object.entries(served)) {
    await libp2p.handle(protocol, (stream, connection) => {
      hello(stream)
      onFrames(stream, async ({ kind, exchange, method, payload }) => {
        if (kind !== KIND.request && kind !== KIND.oneWay) return
        const answer = methods[String(method)]
        const value = await answer?.(read(content, payload as Uint8Array), connection.remotePeer.toString())
        if (kind === KIND.oneWay) return
        const contentOnWire = content === 'cbor' ? CBOR : 0
        if (answer === undefined)
          put(stream, { kind: KIND.error, exchange, fault: { code: 'MSG004', message: 'no such method' } })
        else put(stream, { kind: KIND.response, exchange, content: contentOnWire, payload: write(content, value) })
      })
    })
  }

  const call: ForeignMember['call'] = async (connection, protocol, method, input, content = 'json') => {
    const stream = await connection.newStream(protocol)
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    onFrames(stream, ({ kind, exchange, payload, fault }) => {
      if (exchange !== 1) return
      if (kind === KIND.response) resolve(read(content, payload as Uint8Array))
      if (kind === KIND.error) reject(new Error(JSON.stringify(fault)))
    })
    hello(stream)
    const contentOnWire = content === 'cbor' ? CBOR : 0
    put(stream, {
      kind: KIND.request,
      exchange: 1,
      method,
      content: contentOnWire,
      payload: write(content, input),
      timeoutMs: 5_000,
    })
    return promise.finally(() => stream.close())
  }

  const sequences = new Map<string, number>()
  return {
    id,
    call,
    probed: () => probed,
    async join(address) {
      const connection = await libp2p.dial(multiaddr(address))
      await call(connection, '/parley/admission/1', 'admit', card())
      return connection
    },
    async announce(connection) {
      const record = {
        peerId: id,
        name: 'foreign',
        mesh,
        incarnation,
        version: 1,
        protocols: [{ name: offers.name, version: '1.0.0', methods: [{ name: offers.method, kind: 'unary' }] }],
        labels: {},
        addresses: libp2p.getMultiaddrs().map(String),
        ttlMs: 30_000,
      }
      const bytes = Buffer.from(JSON.stringify(record))
      const signature = await privateKey.sign(Buffer.concat([Buffer.from(`parley/record/1\n${mesh}\n`), bytes]))
      const stream = await connection.newStream('/parley/directory/1')
      hello(stream)
      const payload = toCbor({ records: [{ bytes: new Uint8Array(bytes), signature, ageMs: 0 }] })
      put(stream, { kind: KIND.oneWay, exchange: 1, method: 'push', content: CBOR, payload })
    },
    hears(topic, on) {
      const gossipTopic = `parley/${mesh}/events/${topic.split('.')[0]}`
      const { gossip } = libp2p.services
      gossip.subscribe(gossipTopic)
      gossip.addEventListener('gossipsub:message', ({ detail: { msg } }) => {
        if (msg.topic !== gossipTopic) return
        const { body, signature } = SignedBatch.toObject(SignedBatch.decode(msg.data))
        const batch = Batch.toObject(Batch.decode(body), { longs: Number })
        const { publicKey } = peerIdFromString(batch.publisher)
        const raw = publicKey?.raw
        if (raw === undefined) return
        const der = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), publicKeyFromRaw(raw).raw])
        const key = createPublicKey({ key: der, format: 'der', type: 'spki' })
        if (!verify(null, signedOf(mesh, body), key, signature)) return
        for (const event of batch.events) if (event.topic === topic) on(read('json', event.payload))
      })
    },
    async publish(topic, data) {
      const [word = ''] = topic.split('.')
      const first = (sequences.get(word) ?? 0) + 1
      sequences.set(word, first)
      const header = { publisher: id, word, epoch: incarnation, first, sentAtMs: Date.now() }
      const body = Batch.encode(Batch.create({ ...header, events: [{ topic, payload: write('json', data) }] })).finish()
      const signature = await privateKey.sign(signedOf(mesh, body))
      const bytes = SignedBatch.encode(SignedBatch.create({ body, signature })).finish()
      await libp2p.services.gossip.publish(`parley/${mesh}/events/${word}`, bytes)
    },
    async stop() {
      await libp2p.stop()
    },
  }
}
