/**
 * The WebSocket transport, loaded when an address needs it: with its HTTP server and client it is a tenth of all the
 * code that a node loads, and most meshes speak TCP.
 *
 * State: whether it is loaded.
 */
import { type Transport, transportSymbol } from '@libp2p/interface'
import type { webSockets } from '@libp2p/websockets'
import type { Multiaddr } from '@multiformats/multiaddr'

type Components = Parameters<ReturnType<typeof webSockets>>[0]
export type TransportFactory = (components: Components) => Transport

const isWebSocket = (address: Multiaddr): boolean => address.getComponents().some(({ name }) => /^wss?$/.test(name))

const load = async (): Promise<TransportFactory> => {
  const { webSockets } = await import('@libp2p/websockets')
  return webSockets()
}

/** For a node that listens on no WebSocket address itself; it may have to dial one. */
const dialsOnly: TransportFactory = (components) => {
  let loading: Promise<Transport> | undefined
  const loaded = (): Promise<Transport> => {
    loading ??= load().then((create) => create(components))
    return loading
  }
  return {
    [transportSymbol]: true,
    [Symbol.toStringTag]: 'parley-websockets',
    dial: async (address, options) => (await loaded()).dial(address, options),
    createListener() {
      throw new Error('WebSockets were loaded for dialling only')
    },
    listenFilter: () => [],
    dialFilter: (addresses) => addresses.filter(isWebSocket),
  }
}

/** @param listen addresses that the node is going to listen on */
export const webSocketTransport = async (listen: readonly string[]): Promise<TransportFactory> =>
  listen.some((address) => /\/wss?(\/|$)/.test(address)) ? load() : dialsOnly
