/**
 * RabbitMQ as a work queue: a quorum queue of one server, persistent messages with publisher confirms, manual
 * acknowledgements. It records no steps: the worker keeps each in a synced file of its own, as a user would have to, and sends
 * the result to a queue of the submitter. Not encrypted. A worker that is lost begins its task anew.
 * Source: rabbitmq.com, tutorials on work queues and on remote procedure calls, guide to quorum queues.
 */
import { join } from 'node:path'
import { connect } from 'amqplib'
import { z } from 'zod'
import { benchDirectory } from '../surroundings.ts'
import { openSyncedLog } from '../synced-log.ts'
import { type System, TASK_STEP_CHARS, TASK_STEPS } from '../system.ts'
import { startRabbit } from './rabbitmq-server.ts'

const QUEUE = 'bench.tasks'
/** As many as the submitter has in flight at most. */
const AHEAD = 512

const resultSchema = z.object({ n: z.number(), sum: z.number() })

export const system: System = {
  tasks: {
    work: async () => {
      const server = await startRabbit()
      const connection = await connect(server, { noDelay: true })
      const channel = await connection.createChannel()
      const log = await openSyncedLog(join(benchDirectory(), `steps-${process.pid}`))
      await channel.assertQueue(QUEUE, { durable: true, arguments: { 'x-queue-type': 'quorum' } })
      await channel.prefetch(AHEAD)
      await channel.consume(
        QUEUE,
        async (message) => {
          if (message === null) return
          const n = z.number().parse(JSON.parse(message.content.toString()))
          let sum = n
          for (let i = 1; i <= TASK_STEPS; i += 1) {
            const step = { i, data: 'x'.repeat(TASK_STEP_CHARS) }
            await log.add(JSON.stringify({ n, ...step }))
            sum += step.i
          }
          channel.sendToQueue(message.properties.replyTo, Buffer.from(JSON.stringify({ n, sum })))
          channel.ack(message)
        },
        { noAck: false },
      )
      return {
        address: server,
        stop: async () => void (await Promise.all([connection.close(), log.close()])),
      }
    },

    connect: async ([server = '']) => {
      const connection = await connect(server, { noDelay: true })
      const channel = await connection.createConfirmChannel()
      const { queue: replyTo } = await channel.assertQueue('', { durable: false, exclusive: true })
      const waiting = new Map<number, (sum: number) => void>()
      await channel.consume(
        replyTo,
        (message) => {
          if (message === null) return
          const { n, sum } = resultSchema.parse(JSON.parse(message.content.toString()))
          waiting.get(n)?.(sum)
          waiting.delete(n)
        },
        { noAck: true },
      )
      return {
        run: async (n) => {
          const done = new Promise<number>((resolve) => waiting.set(n, resolve))
          const confirmed = new Promise<void>((resolve, reject) => {
            channel.sendToQueue(QUEUE, Buffer.from(JSON.stringify(n)), { persistent: true, replyTo }, (error) =>
              error === null ? resolve() : reject(error),
            )
          })
          const [sum] = await Promise.all([done, confirmed])
          return sum
        },
        stop: async () => connection.close(),
      }
    },
  },
}
