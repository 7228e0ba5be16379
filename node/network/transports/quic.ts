/**
 * The QUIC transport, where `@chainsafe/libp2p-quic` is installed: an optional part, since it is native code for a few
 * platforms. Loaded when an address needs it.
 *
 * QUIC secures connections by TLS 1.3 itself, so Noise does not run over it. Each side shows a certificate signed with its
 * libp2p key, and the peer id comes from that key, checked in the native part: it is proven as well as by Noise.
 * State: whether it is loaded. Source: RFC 9000; libp2p TLS specification, "Peer Authentication".
 */
import { type Transport, transportSymbol } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { ParleyError } from '../../../protocols/errors.ts'
import type { TransportFactory } from './web-sockets.ts'

type Components = Parameters<TransportFactory>[0]

/** A name that the compiler does not look for: most do without this package. */
const PACKAGE: string = '@chainsafe/libp2p-quic'
/** Below yamux' bound no stream of a busy peer would be refused there; QUIC makes them wait. */
const MAX_STREAMS = 1024
/** A peer that is silent for so long is given up by QUIC, milliseconds; failure detection is usually faster. */
const IDLE_MS = 30_000
const KEEP_ALIVE_MS = 5_000

export const isQuic = (address: string): boolean => /\/quic-v1(\/|$)/.test(address)

const isFactory = (value: unknown): value is (options: object) => TransportFactory => typeof value === 'function'

/** @throws STA003 where it is not installed, or has no native part for this platform */
const load = async (importPackage: (name: string) => Promise<unknown>): Promise<TransportFactory> => {
  try {
    const found: unknown = await importPackage(PACKAGE)
    const quic: unknown = typeof found === 'object' && found !== null ? Reflect.get(found, 'quic') : undefined
    if (!isFactory(quic)) throw new Error(`${PACKAGE} exports no quic()`)
    return quic({ maxConcurrentStreamLimit: MAX_STREAMS, maxIdleTimeout: IDLE_MS, keepAliveInterval: KEEP_ALIVE_MS })
  } catch (cause) {
    const isAbsent =
      cause instanceof Error &&
      Reflect.get(cause, 'code') === 'ERR_MODULE_NOT_FOUND' &&
      cause.message.includes(`'${PACKAGE}'`)
    throw new ParleyError(
      'STA003',
      isAbsent
        ? `QUIC needs the package ${PACKAGE}, which is not installed`
        : `QUIC does not work on ${process.platform} ${process.arch}: ${cause instanceof Error ? cause.message : cause}`,
      {
        hint: isAbsent ? `npm install ${PACKAGE}, or use TCP: /ip4/…/tcp/PORT` : 'use TCP: /ip4/…/tcp/PORT',
        details: { reason: 'missing' },
        cause,
      },
    )
  }
}

/** For a node that listens on no QUIC address itself; it may have to dial one. */
const dialsOnly =
  (factory: () => Promise<TransportFactory>): TransportFactory =>
  (components: Components) => {
    let loading: Promise<Transport> | undefined
    const loaded = (): Promise<Transport> => {
      loading ??= factory().then((create) => create(components))
      return loading
    }
    return {
      [transportSymbol]: true,
      [Symbol.toStringTag]: 'parley-quic',
      dial: async (address, options) => (await loaded()).dial(address, options),
      createListener() {
        throw new Error('QUIC was loaded for dialling only')
      },
      listenFilter: () => [],
      dialFilter: (addresses: Multiaddr[]) => addresses.filter((address) => isQuic(address.toString())),
      // Sockets of the native part would keep the process.
      async stop() {
        const transport = await loading?.catch(() => undefined)
        if (transport !== undefined && 'stop' in transport && typeof transport.stop === 'function')
          await transport.stop()
      },
    } as Transport
  }

/**
 * @param listen addresses that the node is going to listen on
 * @throws STA003 where one of them needs QUIC and it cannot be loaded
 */
export const quicTransport = async (
  listen: readonly string[],
  importPackage: (name: string) => Promise<unknown> = (name) => import(name),
): Promise<TransportFactory> => (listen.some(isQuic) ? load(importPackage) : dialsOnly(() => load(importPackage)))
