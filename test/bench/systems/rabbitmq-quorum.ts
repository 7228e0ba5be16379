/**
 * RabbitMQ's quorum queue: one server, so a quorum of one, which is the quickest that it can be; persistent messages,
 * publisher confirms, manual acknowledgements, 64 ahead at the consumer. Not encrypted.
 *
 * It promises at least once. A consumer's acknowledgement is never answered, so nobody learns when it is durable. For
 * exactly once the consumer keeps each effect in a synced file of its own before it acknowledges.
 * Source: rabbitmq.com, guides to quorum queues and to consumer acknowledgements and publisher confirms.
 */
import { join } from 'node:path'
import { connect } from 'amqplib'
import { z } from 'zod'
import { asBody, sequenceOf } from '../body.ts'
import { createEffects } from '../effects.ts'
import { benchDirectory } from '../surroundings.ts'
import { openSyncedLog } from '../synced-log.ts'
import type { System } from '../system.ts'
import { giveWord, hearWord } from '../word.ts'
import { startRabbit } from './rabbitmq-server.ts'

const QUEUE = 'bench.durable'
const AHEAD = 64

const addressSchema = z.object({ server: z.string(), wordPort: z.int() })

export const system: System = {
  durable: {
    receive: async (guarantee, onMessage) => {
      const server = await startRabbit()
      const connection = await connect(server, { noDelay: true })
      const channel = await connection.createChannel()
      const log = await openSyncedLog(join(benchDirectory(), `effects-${process.pid}`))
      const effects = createEffects(log)
      const word = await giveWord()
      await channel.assertQueue(QUEUE, { durable: true, arguments: { 'x-queue-type': 'quorum' } })
      await channel.prefetch(AHEAD)
      await channel.consume(
        QUEUE,
        async (message) => {
          if (message === null) return
          const body = asBody(JSON.parse(message.content.toString()))
          const isFirst = guarantee === 'at-least-once' || (await effects.once(sequenceOf(body)))
          if (isFirst) onMessage(body)
          channel.ack(message)
          word.give(sequenceOf(body))
        },
        { noAck: false },
      )
      return {
        address: JSON.stringify({ server, wordPort: word.port }),
        stop: async () => void (await Promise.all([connection.close(), word.stop(), log.close()])),
      }
    },

    connect: async (address) => {
      const { server, wordPort } = addressSchema.parse(JSON.parse(address))
      const connection = await connect(server, { noDelay: true })
      const channel = await connection.createConfirmChannel()
      const word = await hearWord(wordPort)
      return {
        send: async (body, onConfirmed) => {
          const processed = word.heard(sequenceOf(body))
          const confirmed = Promise.withResolvers<void>()
          channel.sendToQueue(QUEUE, Buffer.from(JSON.stringify(body)), { persistent: true }, (error) => {
            if (error !== null) return confirmed.reject(error)
            onConfirmed()
            confirmed.resolve()
          })
          await Promise.all([confirmed.promise, processed])
        },
        stop: async () => void (await Promise.all([connection.close(), word.stop()])),
      }
    },
  },
}
