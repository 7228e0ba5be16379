/** A plain libp2p node for the two plain systems: TCP, Noise and yamux, loopback only, nothing of Parley. */
import { noise } from '@chainsafe/libp2p-noise'
import type { Libp2p, ServiceMap, Stream } from '@libp2p/interface'
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

/**
 * Calls `fill` now and whenever the stream may have room.
 *
 * Never within the event, and not in its microtasks either. `idle` is dispatched while the stream is still sending: what
 * is sent right then is only queued, and nothing wakes the stream again. On `drain` the streams of a connection get their
 * turn in the order of opening: one that refills at once fills the connection again before a later stream has its turn,
 * and calls beside it never end.
 */
export const keepFilled = (stream: Stream, fill: () => void): void => {
  let planned = false
  const run = (): void => {
    planned = false
    fill()
  }
  const plan = (): void => {
    if (planned) return
    planned = true
    setImmediate(run)
  }
  stream.addEventListener('drain', plan)
  stream.addEventListener('idle', plan)
  fill()
}
