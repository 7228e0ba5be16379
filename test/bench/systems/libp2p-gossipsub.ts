/** Plain libp2p pub/sub: gossipsub with its defaults, one signed message for each event, JSON. */
import { gossipsub } from '@chainsafe/libp2p-gossipsub'
import { identify } from '@libp2p/identify'
import { asBody, type Body } from '../body.ts'
import type { System } from '../system.ts'
import { addressOf, parseAddress, plainNode } from './plain-libp2p.ts'

const TOPIC = 'bench'
const encoder = new TextEncoder()
const decoder = new TextDecoder()

const start = () => plainNode({ identify: identify(), pubsub: gossipsub() })
type Node = Awaited<ReturnType<typeof start>>

const listenTo = ({ services: { pubsub } }: Node, onEvent: (body: Body) => void): void => {
  pubsub.addEventListener('message', ({ detail }) => onEvent(asBody(JSON.parse(decoder.decode(detail.data)))))
  pubsub.subscribe(TOPIC)
}

const publisherOf = (node: Node) => ({
  // publish() gives no backpressure; a small batch bounds what is signed and sent at once.
  batch: 64,
  publish: async (events: readonly Body[]) => {
    await Promise.all(events.map((event) => node.services.pubsub.publish(TOPIC, encoder.encode(JSON.stringify(event)))))
  },
  stop: async () => node.stop(),
})

export const system: System = {
  events: {
    subscribe: async (onEvent) => {
      const node = await start()
      listenTo(node, onEvent)
      return { address: addressOf(node), stop: async () => node.stop() }
    },

    connect: async (address) => {
      const node = await start()
      await node.dial(parseAddress(address))
      return publisherOf(node)
    },
  },

  // A star: all subscribers dial the publisher, which floods what it publishes itself, so that each gets it directly.
  fanout: {
    publish: async () => {
      const node = await start()
      return { address: addressOf(node), ...publisherOf(node) }
    },

    subscribe: async (address, onEvent) => {
      const node = await start()
      listenTo(node, onEvent)
      await node.dial(parseAddress(address))
      return { stop: async () => node.stop() }
    },
  },
}
