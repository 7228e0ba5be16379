/** A plain libp2p node for the two plain systems: TCP, Noise and yamux, loopback only, nothing of Parley. */
import { noise } from '@chainsafe/libp2p-noise'
import type { Libp2p, ServiceMap } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p, type ServiceFactoryMap } from 'libp2p'

/** Streams at once, per protocol and in all: above the 512 in flight of the rpc suite. */
export const MAX_STREAMS = 2_048

export const plainNode = <S extends ServiceMap>(services: ServiceFactoryMap<S>) =>
  createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [
      yamux({ maxInboundStreams: MAX_STREAMS, maxOutboundStreams: MAX_STREAMS, maxEarlyStreams: MAX_STREAMS }),
    ],
    // 5 a second from one address by default; many nodes dial one at the same time here.
    connectionManager: { inboundConnectionThreshold: 1_000, maxIncomingPendingConnections: 100 },
    services,
  })

export const addressOf = (node: Pick<Libp2p, 'getMultiaddrs'>): string => {
  const [address] = node.getMultiaddrs()
  if (address === undefined) throw new Error('the node does not listen')
  return address.toString()
}

export const parseAddress = multiaddr
