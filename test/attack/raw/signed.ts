/** What members sign, as an attacker with a key of its own signs it: batches of events, agent records. Keeps no state. */
import { createHash } from 'node:crypto'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { bytesField, joined, numberField } from './bytes.ts'

export interface Signer {
  readonly id: string
  sign(bytes: Uint8Array): Promise<Uint8Array>
}

export const signerOf = (key: PrivateKey): Signer => ({
  id: peerIdFromPrivateKey(key).toString(),
  sign: async (bytes) => key.sign(bytes),
})

/** Somebody who does not exist. */
export const inventSigner = async (): Promise<Signer> => signerOf(await generateKeyPair('Ed25519'))

export interface ForgedEvent {
  readonly topic: string
  readonly data: unknown
  readonly version?: string
}

const eventBytes = ({ topic, data, version = '' }: ForgedEvent): Uint8Array =>
  joined(
    bytesField(1, topic),
    bytesField(2, typeof data === 'string' ? data : JSON.stringify(data)),
    bytesField(6, version),
  )

export interface BatchPlan {
  readonly mesh: string
  readonly word: string
  readonly epoch: number
  readonly first: number
  readonly events: readonly ForgedEvent[]
  /** In place of the true one. */
  readonly signature?: Uint8Array
}

/** By the format in protocols/events/batch.proto. */
export const batchBytes = async (signer: Signer, plan: BatchPlan): Promise<Uint8Array> => {
  const body = joined(
    bytesField(1, signer.id),
    bytesField(2, plan.word),
    numberField(3, plan.epoch),
    numberField(4, plan.first),
    numberField(5, Date.now()),
    ...plan.events.map((event) => bytesField(7, eventBytes(event))),
  )
  const digest = createHash('sha256').update(body).digest()
  const signed = joined(Buffer.from(`parley/events/2\n${plan.mesh}\n`), digest)
  return joined(bytesField(1, body), bytesField(3, plan.signature ?? (await signer.sign(signed))))
}

export const gossipTopic = (mesh: string, word: string): string => `parley/${mesh}/events/${word}`

export interface GhostPlan {
  readonly name: string
  readonly addresses: readonly string[]
  readonly version?: number
  /** A protocol that it says it serves, with one method `echo`. */
  readonly offers?: string
}

/** A record of discovery/directory/record/agent-record.ts, signed by whom it names. */
export const recordBytes = async (
  signer: Signer,
  mesh: string,
  { name, addresses, version = 1, offers }: GhostPlan,
): Promise<{ bytes: Uint8Array; signature: Uint8Array }> => {
  const record = {
    peerId: signer.id,
    name,
    mesh,
    incarnation: Date.now(),
    version,
    protocols:
      offers === undefined
        ? []
        : [{ name: offers, version: '1.0.0', methods: [{ name: 'echo', kind: 'unary', idempotent: true }] }],
    labels: {},
    addresses,
    ttlMs: 3_600_000,
  }
  const bytes = Buffer.from(JSON.stringify(record))
  const signature = await signer.sign(joined(Buffer.from(`parley/record/1\n${mesh}\n`), bytes))
  return { bytes, signature }
}
