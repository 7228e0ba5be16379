/**
 * NATS JetStream: one server with a file store, a work queue of one replica, a pushing consumer with explicit
 * acknowledgements, spoken to with the official client and the documented subjects of its API. Not encrypted.
 *
 * At least once: publish and wait for the acknowledgement of the stream; the consumer's acknowledgement is not answered.
 * Exactly once: the publisher gives an id by which the stream drops copies, the consumer waits until its acknowledgement
 * was answered, and keeps each effect in a synced file of its own: the stream forgets ids after two minutes.
 * Source: docs.nats.io, JetStream wire API reference and "exactly once semantics".
 */
import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { connect, headers, type Msg, type NatsConnection } from '@nats-io/transport-node'
import { z } from 'zod'
import { asBody, sequenceOf } from '../body.ts'
import { createEffects } from '../effects.ts'
import { benchDirectory } from '../surroundings.ts'
import { openSyncedLog } from '../synced-log.ts'
import type { System } from '../system.ts'
import { giveWord, hearWord } from '../word.ts'
import { startNats } from './nats-server.ts'

const STREAM = 'BENCH'
const SUBJECT = 'bench.durable'
const DELIVERED = 'bench.delivered'
const CONSUMER = 'bench'
const AHEAD = 64
const ANSWER_LIMIT_MS = 30_000
const NANOSECONDS = 1e9

const addressSchema = z.object({ server: z.string(), wordPort: z.int() })
const answerSchema = z.object({ error: z.looseObject({}).optional() })

/** @throws when the answer is an error */
const accepted = (message: Msg): void => {
  const { error } = answerSchema.parse(message.json())
  if (error !== undefined) throw new Error(`JetStream refused: ${JSON.stringify(error)}`)
}

const askApi = async (nc: NatsConnection, subject: string, request: object): Promise<void> =>
  accepted(await nc.request(`$JS.API.${subject}`, JSON.stringify(request), { timeout: ANSWER_LIMIT_MS }))

const prepare = async (nc: NatsConnection): Promise<void> => {
  await askApi(nc, `STREAM.CREATE.${STREAM}`, {
    name: STREAM,
    subjects: [SUBJECT],
    storage: 'file',
    retention: 'workqueue',
    num_replicas: 1,
    duplicate_window: 120 * NANOSECONDS,
  })
  await askApi(nc, `CONSUMER.DURABLE.CREATE.${STREAM}.${CONSUMER}`, {
    stream_name: STREAM,
    config: {
      durable_name: CONSUMER,
      deliver_subject: DELIVERED,
      deliver_policy: 'all',
      ack_policy: 'explicit',
      ack_wait: 30 * NANOSECONDS,
      max_ack_pending: AHEAD,
    },
  })
}

/**
 * @param settings of its block `jetstream`
 * @param command of the server
 */
export const jetStream = (settings: readonly string[], command?: string): System => ({
  durable: {
    receive: async (guarantee, onMessage) => {
      const directory = await mkdtemp(join(benchDirectory(), 'jetstream-'))
      const server = await startNats(
        [`jetstream { ${[`store_dir: "${directory}"`, ...settings].join(', ')} }`],
        command,
      )
      const nc = await connect({ servers: server, reconnect: false })
      const log = await openSyncedLog(join(directory, 'effects'))
      const effects = createEffects(log)
      const word = await giveWord()

      const take = async (message: Msg): Promise<void> => {
        const body = asBody(message.json())
        if (guarantee === 'at-least-once') {
          onMessage(body)
          message.respond('+ACK')
        } else {
          if (await effects.once(sequenceOf(body))) onMessage(body)
          await nc.request(message.reply ?? '', '+ACK', { timeout: ANSWER_LIMIT_MS })
        }
        word.give(sequenceOf(body))
      }
      nc.subscribe(DELIVERED, { callback: (_error, message) => void take(message) })
      await prepare(nc)
      return {
        address: JSON.stringify({ server, wordPort: word.port }),
        stop: async () => void (await Promise.all([nc.close(), word.stop(), log.close()])),
      }
    },

    connect: async (address, guarantee) => {
      const { server, wordPort } = addressSchema.parse(JSON.parse(address))
      const nc = await connect({ servers: server, reconnect: false })
      const word = await hearWord(wordPort)
      return {
        send: async (body, onConfirmed) => {
          const id = sequenceOf(body)
          const processed = word.heard(id)
          const options = { timeout: ANSWER_LIMIT_MS }
          const named = headers()
          if (guarantee === 'exactly-once') named.set('Nats-Msg-Id', String(id))
          const stored = nc
            .request(
              SUBJECT,
              JSON.stringify(body),
              guarantee === 'exactly-once' ? { ...options, headers: named } : options,
            )
            .then((answer) => {
              accepted(answer)
              onConfirmed()
            })
          await Promise.all([stored, processed])
        },
        stop: async () => void (await Promise.all([nc.close(), word.stop()])),
      }
    },
  },
})

export const system: System = jetStream([])
