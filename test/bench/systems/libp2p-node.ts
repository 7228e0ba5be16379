/**
 * A bare libp2p node with the modules of a Parley node and nothing above them: what those cost by themselves.
 *
 * Its answers to calls are those of libp2p-stream-per-request: a new stream for each.
 */
import { gossipsub } from '@chainsafe/libp2p-gossipsub'
import { noise } from '@chainsafe/libp2p-noise'
import { identify } from '@libp2p/identify'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { webSockets } from '@libp2p/websockets'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import { asBody } from '../body.ts'
import type { System } from '../system.ts'
import { echoEnds } from './libp2p-echo.ts'
import { addressOf, parseAddress } from './plain-libp2p.ts'

const TOPIC = 'bench'
const MAX_CONNECTIONS = 300
/** Of new connections from one address; many nodes start at once here. */
const PER_SECOND = 1_000

const encoder = new TextEncoder()
const decoder = new TextDecoder()

const start = () =>
  createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp(), webSockets()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionManager: {
      maxConnections: MAX_CONNECTIONS,
      inboundConnectionThreshold: PER_SECOND,
      maxIncomingPendingConnections: MAX_CONNECTIONS,
    },
    services: {
      identify: identify(),
      ping: ping(),
      // All nodes have one address here; the default weight would silence them.
      pubsub: gossipsub({ scoreParams: { IPColocationFactorWeight: 0 }, allowPublishToZeroTopicPeers: true }),
    },
  })

export const system: System = {
  rpc: echoEnds(start),

  members: {
    member: async (_name, seeds) => {
      const node = await start()
      const { pubsub } = node.services
      const meet = async (addresses: readonly string[]): Promise<void> => {
        for (const address of addresses) await node.dial(parseAddress(address))
      }
      await meet(seeds)
      return {
        address: addressOf(node),
        meet,
        peers: () => node.getPeers().length,
        subscribe: async (onEvent) => {
          pubsub.addEventListener('message', ({ detail }) => onEvent(asBody(JSON.parse(decoder.decode(detail.data)))))
          pubsub.subscribe(TOPIC)
        },
        publish: async (body) => {
          await pubsub.publish(TOPIC, encoder.encode(JSON.stringify(body)))
        },
        stop: async () => node.stop(),
      }
    },
  },
}
