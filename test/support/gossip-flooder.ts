/**
 * A malicious member as a process of its own: admitted like any other, and then nothing but gossip by hand.
 *
 * Forked with address, mesh, secret and what to send: `forged` batches whose signature is wrong, `garbage` that is no RPC,
 * `control` subscriptions without end, or `own` batches of itself, well signed. It tells its parent when it is admitted,
 * when it was disconnected and how many messages it got rid of until then, and what it was told when it came back.
 */

import { randomBytes } from 'node:crypto'
import type { Connection, Stream } from '@libp2p/interface'
import { fromString } from 'uint8arrays/from-string'
import { hash } from '../../node/platform/platform.ts'
import { BatchDraft, putEvent, signingPrefixes } from '../../protocols/events/batch/batch-encoder.ts'
import { DELIMITED, ProtobufWriter, VARINT } from '../../protocols/wire/frames/protobuf.ts'
import { requestBytes, startRawPeer, watch } from './raw-peer.ts'

export type FloodKind = 'forged' | 'garbage' | 'control' | 'own'
export type FlooderSays =
  | { kind: 'admitted'; id: string }
  | { kind: 'cut'; sent: number }
  | { kind: 'answered'; text: string }

const HIGH_WATER_BYTES = 1 << 20
const PER_TURN = 32
const [address = '', mesh = '', secret = '', flood = 'forged'] = process.argv.slice(2)
const say = (said: FlooderSays): void => void process.send?.(said)

const raw = await startRawPeer()
const prefix = signingPrefixes(mesh).digest
let serial = 0

const batchBytes = async (): Promise<Uint8Array> => {
  serial += 1
  const events = new ProtobufWriter()
  putEvent(events, fromString('tasks.noise'), `{"n":${serial}}`, undefined)
  const header = {
    publisher: raw.id,
    word: 'tasks',
    epoch: 5,
    first: serial,
    sentAt: Date.now(),
    waitedMs: 0,
    circle: undefined,
  }
  const draft = new BatchDraft(prefix, hash, header, events.finish())
  const toSign = draft.toSign(header)
  return draft.seal(flood === 'own' ? await raw.sign(toSign) : randomBytes(64))
}

const delimited = (field: number, bytes: Uint8Array): Uint8Array => {
  const writer = new ProtobufWriter(bytes.length + 16)
  writer.tag(field, DELIMITED)
  writer.varint(bytes.length)
  return Buffer.concat([writer.finish(), bytes])
}
const prefixed = (bytes: Uint8Array): Uint8Array => {
  const writer = new ProtobufWriter(16)
  writer.varint(bytes.length)
  return Buffer.concat([writer.finish(), bytes])
}
/** An RPC as in gossipsub's rpc.proto: subscriptions are field 1, messages field 2 with data (2) and topic (4). */
const rpc = async (): Promise<Uint8Array> => {
  if (flood === 'garbage') return prefixed(randomBytes(100))
  if (flood === 'control') {
    serial += 1
    const subscribe = new ProtobufWriter(8)
    subscribe.tag(1, VARINT)
    subscribe.varint(1)
    const topic = delimited(2, fromString(`parley/${mesh}/events/noise${serial}`))
    return prefixed(delimited(1, Buffer.concat([subscribe.finish(), topic])))
  }
  const message = [delimited(2, await batchBytes()), delimited(4, fromString(`parley/${mesh}/events/tasks`))]
  return prefixed(delimited(2, Buffer.concat(message)))
}

const admitted = async (): Promise<Connection> => {
  const token = await raw.token(mesh, secret)
  const connection = await raw.dial(address)
  await raw.admit(connection, mesh, [token])
  return connection
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

const pour = async (connection: Connection, stream: Stream): Promise<number> => {
  let sent = 0
  while (connection.status === 'open' && stream.status === 'open') {
    for (let n = 0; n < PER_TURN && stream.writeBufferLength < HIGH_WATER_BYTES; n += 1, sent += 1) {
      stream.send(await rpc())
    }
    await turn()
  }
  return sent
}

const connection = await admitted()
say({ kind: 'admitted', id: raw.id })
let sent = 0
while (connection.status === 'open') {
  try {
    sent += await pour(connection, await connection.newStream('/meshsub/1.1.0'))
  } catch {
    // The stream or the connection was broken off: that is what it is about.
    await turn()
  }
}
say({ kind: 'cut', sent })
const again = await raw.dial(address)
const stream = await again.newStream('/parley/admission/1')
const seen = watch(stream)
const card = { tokens: [await raw.token(mesh, secret)], mesh, name: 'raw', incarnation: Date.now(), nowMs: Date.now() }
stream.send(requestBytes('admit', card))
while (again.status === 'open' && !seen.text().includes('SEC001')) await turn()
say({ kind: 'answered', text: seen.text() })
