/** Plain libp2p pub/sub: gossipsub with its defaults, one signed message for each event, JSON. */
import { gossipsub } from '@chainsafe/libp2p-gossipsub'
import { identify } from '@libp2p/identify'
import { asBody } from '../body.ts'
import type { System } from '../system.ts'
import { addressOf, parseAddress, plainNode } from './plain-libp2p.ts'

const TOPIC = 'bench'
const encoder = new TextEncoder()
const decoder = new TextDecoder()

const start = () => plainNode({ identify: identify(), pubsub: gossipsub() })

export const system: System = {
  events: {
    subscribe: async (onEvent) => {
      const node = await start()
      node.services.pubsub.addEventListener('message', ({ detail }) =>
        onEvent(asBody(JSON.parse(decoder.decode(detail.data)))),
      )
      node.services.pubsub.subscribe(TOPIC)
      return { address: addressOf(node), stop: async () => node.stop() }
    },

    connect: async (address) => {
      const node = await start()
      await node.dial(parseAddress(address))
      return {
        // publish() gives no backpressure; a small batch bounds what is signed and sent at once.
        batch: 64,
        publish: async (events) => {
          await Promise.all(
            events.map((event) => node.services.pubsub.publish(TOPIC, encoder.encode(JSON.stringify(event)))),
          )
        },
        stop: async () => node.stop(),
      }
    },
  },
}
