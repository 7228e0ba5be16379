/**
 * A libp2p node of its own, stock noise, yamux and gossipsub, without any of the product's good manners: a stranger, or with
 * the secret a member that lies. State: its libp2p node, the mesh id that it was told.
 */
import { type GossipSub, gossipsub } from '@chainsafe/libp2p-gossipsub'
import { noise } from '@chainsafe/libp2p-noise'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { type Identify, identify } from '@libp2p/identify'
import type { Connection } from '@libp2p/interface'
import { type Ping, ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p, type Libp2p } from 'libp2p'
import { type Link, openLink, serveLink } from './link.ts'
import { type Signer, signerOf } from './signed.ts'
import { type Claims, makeToken } from './token.ts'

export interface Attacker {
  readonly id: string
  readonly signer: Signer
  readonly libp2p: Libp2p<{ identify: Identify; ping: Ping; gossip: GossipSub }>
  /** @param another one more connection where there is one */
  dial(address: string, another?: boolean): Promise<Connection>
  /** Shows a token for this secret. @returns what the node answered: its card, or the refusal */
  admit(connection: Connection, secret: string, claims?: Claims): Promise<{ meshId?: string; refused?: string }>
  link(connection: Connection, protocol: string): Promise<Link>
  /** dial, admit and link. @throws where it is not let in */
  member(address: string, secret: string, claims?: Claims): Promise<Connection>
  /** @param content as it is asked and answered: JSON unless told */
  serve(protocol: string, answer: (method: string, input: unknown) => unknown, content?: number): Promise<void>
  stop(): Promise<void>
}

const ADMISSION = '/parley/admission/1'
const MANY_STREAMS = 10_000
const DIAL_MS = 10_000

export const createAttacker = async (mesh: string): Promise<Attacker> => {
  const privateKey = await generateKeyPair('Ed25519')
  const libp2p = await createLibp2p({
    privateKey,
    addresses: { listen: [] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux({ maxInboundStreams: MANY_STREAMS, maxOutboundStreams: MANY_STREAMS })],
    connectionGater: { denyDialMultiaddr: () => false },
    connectionManager: { maxParallelDials: 200, maxPeerAddrsToDial: 10 },
    connectionMonitor: { enabled: false },
    services: {
      identify: identify(),
      ping: ping(),
      gossip: gossipsub({ globalSignaturePolicy: 'StrictNoSign', allowPublishToZeroTopicPeers: true }),
    },
  })
  const id = libp2p.peerId.toString()

  const link: Attacker['link'] = async (connection, protocol) =>
    openLink(
      await connection.newStream(protocol, {
        maxOutboundStreams: MANY_STREAMS,
        signal: AbortSignal.timeout(DIAL_MS),
      }),
    )

  const dial: Attacker['dial'] = (address, another = false) =>
    libp2p.dial(multiaddr(address), { force: another, signal: AbortSignal.timeout(DIAL_MS) })

  const admit: Attacker['admit'] = async (connection, secret, claims) => {
    const tokens = [await makeToken({ secret, mesh, peer: id }, claims)]
    const card = { tokens, mesh, name: 'mallory', incarnation: Date.now(), nowMs: Date.now() }
    const { payload, fault } = await (await link(connection, ADMISSION)).ask('admit', JSON.stringify(card))
    if (payload === undefined) return { refused: fault }
    const answer: { meshId?: string } = JSON.parse(new TextDecoder().decode(payload))
    return answer
  }

  return {
    id,
    signer: signerOf(privateKey),
    libp2p,
    dial,
    admit,
    link,
    async member(address, secret, claims) {
      const connection = await dial(address)
      const { refused } = await admit(connection, secret, claims)
      if (refused !== undefined) throw new Error(`the attacker is not let in as a member: ${refused}`)
      return connection
    },
    async serve(protocol, answer, content) {
      await libp2p.handle(protocol, (stream) => serveLink(stream, answer, content), {
        maxInboundStreams: MANY_STREAMS,
        runOnLimitedConnection: true,
      })
    },
    async stop() {
      await libp2p.stop()
    },
  }
}
