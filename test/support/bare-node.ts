/** libp2p with the mesh's encryption and multiplexing over loopback TCP, and nothing of the mesh above it. */
import { tcp } from '@libp2p/tcp'
import { createLibp2p, type Libp2p } from 'libp2p'
import { tunedNoise } from '../../node/network/overrides/noise.ts'
import { tunedYamux } from '../../node/network/overrides/yamux.ts'

export const startBareNode = (): Promise<Libp2p> =>
  createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [tunedNoise()],
    streamMuxers: [tunedYamux()],
    connectionGater: { denyDialMultiaddr: () => false },
    connectionMonitor: { enabled: false },
  })
