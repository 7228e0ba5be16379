/**
 * RabbitMQ: its server on free loopback ports, amqplib on both ends, JSON payloads. Not encrypted, nothing durable,
 * no acknowledgements: what it does when nothing but speed is asked of it.
 *
 * Calls go by direct reply-to, events by a fanout exchange with an exclusive queue for each subscriber. Bulk is
 * credited chunk by chunk: a publisher that is only held back by the socket would fill the server's memory.
 */
import { once } from 'node:events'
import { type Channel, connect } from 'amqplib'
import { asBody, type Body } from '../body.ts'
import type { Publisher, Running, System } from '../system.ts'
import { startRabbit } from './rabbitmq-server.ts'

const ECHO = 'bench.echo'
const TICK = 'bench.tick'
const STREAM = 'bench.stream'
/** The server's own name for the caller of a request; nothing is declared for it. */
const REPLY_TO = 'amq.rabbitmq.reply-to'
const CHUNKS_AHEAD = 8
/** Type of the message that asks for a new stream; all others ask for the next chunk. */
const BEGIN = 'begin'

const open = async (address: string): Promise<{ channel: Channel } & Running> => {
  const connection = await connect(address, { noDelay: true })
  return { channel: await connection.createChannel(), stop: () => connection.close() }
}

const read = (content: Buffer): Body => asBody(JSON.parse(content.toString()))
const written = (body: Body): Buffer => Buffer.from(JSON.stringify(body))

const hear = async (channel: Channel, onEvent: (body: Body) => void): Promise<void> => {
  await channel.assertExchange(TICK, 'fanout', { durable: false })
  const { queue } = await channel.assertQueue('', { exclusive: true, durable: false })
  await channel.bindQueue(queue, TICK, '')
  await channel.consume(queue, (message) => void (message === null || onEvent(read(message.content))), { noAck: true })
}

const openPublisher = async (address: string): Promise<Publisher> => {
  const { channel, stop } = await open(address)
  await channel.assertExchange(TICK, 'fanout', { durable: false })
  return {
    batch: 512,
    publish: async (events) => {
      let taken = true
      for (const event of events) taken = channel.publish(TICK, '', written(event))
      if (!taken) await once(channel, 'drain')
    },
    stop,
  }
}

/** One chunk for each message that asks, and an empty one after the last. */
const serveStream = async (channel: Channel, openChunks: () => Iterable<Uint8Array>): Promise<void> => {
  let chunks: Iterator<Uint8Array> = [][Symbol.iterator]()
  let over = true
  const onAsked = (replyTo: string, begins: boolean): void => {
    if (begins) chunks = openChunks()[Symbol.iterator]()
    else if (over) return
    const next = chunks.next()
    over = next.done === true
    channel.sendToQueue(replyTo, next.done === true ? Buffer.alloc(0) : Buffer.from(next.value.buffer))
  }
  await channel.assertQueue(STREAM, { durable: false })
  await channel.consume(
    STREAM,
    (message) => {
      if (message !== null) onAsked(message.properties.replyTo, message.properties.type === BEGIN)
    },
    { noAck: true },
  )
}

const fetchStream = async (channel: Channel, onBytes: (piece: Uint8Array) => void): Promise<void> => {
  const { queue } = await channel.assertQueue('', { exclusive: true, durable: false })
  const ask = (type: string): void => void channel.sendToQueue(STREAM, Buffer.alloc(0), { replyTo: queue, type })
  const { promise: ended, resolve } = Promise.withResolvers<void>()
  await channel.consume(
    queue,
    (message) => {
      if (message === null || message.content.length === 0) return resolve()
      onBytes(message.content)
      ask('next')
    },
    { noAck: true },
  )
  ask(BEGIN)
  for (let i = 1; i < CHUNKS_AHEAD; i++) ask('next')
  await ended
  await channel.deleteQueue(queue)
}

export const system: System = {
  rpc: {
    respond: async () => {
      const address = await startRabbit()
      const { channel, stop } = await open(address)
      await channel.assertQueue(ECHO, { durable: false })
      await channel.consume(
        ECHO,
        (message) => {
          if (message === null) return
          const { replyTo, correlationId } = message.properties
          channel.sendToQueue(replyTo, written(read(message.content)), { correlationId })
        },
        { noAck: true },
      )
      return { address, stop }
    },

    connect: async (address) => {
      const { channel, stop } = await open(address)
      const waiting = new Map<string, (body: Body) => void>()
      let nextId = 1
      await channel.consume(
        REPLY_TO,
        (message) => {
          if (message === null) return
          const { correlationId } = message.properties
          waiting.get(correlationId)?.(read(message.content))
          waiting.delete(correlationId)
        },
        { noAck: true },
      )
      return {
        call: (body) => {
          const correlationId = String(nextId++)
          const { promise, resolve } = Promise.withResolvers<Body>()
          waiting.set(correlationId, resolve)
          channel.sendToQueue(ECHO, written(body), { correlationId, replyTo: REPLY_TO })
          return promise
        },
        stop,
      }
    },
  },

  events: {
    subscribe: async (onEvent) => {
      const address = await startRabbit()
      const { channel, stop } = await open(address)
      await hear(channel, onEvent)
      return { address, stop }
    },
    connect: openPublisher,
  },

  fanout: {
    publish: async () => {
      const address = await startRabbit()
      return { address, ...(await openPublisher(address)) }
    },
    subscribe: async (address, onEvent) => {
      const { channel, stop } = await open(address)
      await hear(channel, onEvent)
      return { stop }
    },
  },

  bulk: {
    offer: async (chunks) => {
      const address = await startRabbit()
      const { channel, stop } = await open(address)
      await serveStream(channel, chunks)
      return { address, stop }
    },
    connect: async (address) => {
      const { channel, stop } = await open(address)
      return { fetch: (onBytes) => fetchStream(channel, onBytes), stop }
    },
  },
}
