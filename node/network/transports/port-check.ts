/**
 * Whether a port can be listened on, found out by listening on it for a moment; and what is said of one that cannot be, when
 * a node does not start for it.
 */
import { createSocket } from 'node:dgram'
import { createServer } from 'node:net'
import { ParleyError } from '../../../protocols/errors.ts'
import { systemCode } from '../../platform/private-file.ts'
import { hostPort, isBoundLocally, type ListenAddress, listenAddressOf } from '../addresses/listen-address.ts'

/** @throws what the system says */
export const checkPort = ({ host, port, transport, kind }: ListenAddress): Promise<void> =>
  new Promise((resolve, reject) => {
    if (transport === 'udp') {
      const socket = createSocket({ type: kind === 'ip6' ? 'udp6' : 'udp4', ipv6Only: kind === 'ip6' })
      socket.once('error', reject)
      socket.bind({ address: host, port, exclusive: true }, () => socket.close(() => resolve()))
      return
    }
    const server = createServer()
    server.once('error', reject)
    server.listen({ host, port, exclusive: true, ipv6Only: kind === 'ip6' }, () => server.close(() => resolve()))
  })

const taken = (site: ListenAddress): ParleyError =>
  new ParleyError('STA003', `the port ${hostPort(site)} (${site.transport}) is taken by another program`, {
    hint: 'stop that program (parley doctor says which one it is), or listen on another port, or on 0 for any free one',
    details: { reason: 'in-use', host: site.host, port: site.port },
  })

const REASONS: Record<string, (site: ListenAddress) => ParleyError> = {
  EADDRINUSE: taken,
  EACCES: (site) =>
    new ParleyError('STA003', `the port ${hostPort(site)} (${site.transport}) is not allowed for this user`, {
      hint: 'listen on a port above 1023, or on 0 for any free one',
      details: { reason: 'in-use', host: site.host, port: site.port },
    }),
  EADDRNOTAVAIL: ({ host }) =>
    new ParleyError('COM002', `${host} is no address of this machine`, {
      hint: 'listen on one that it has, on 127.0.0.1, or on 0.0.0.0 or :: for all of them',
      details: { host },
    }),
}

/** @returns the first of these addresses that cannot be listened on, as an error; undefined where all of them can */
export const portProblem = async (listen: readonly string[]): Promise<ParleyError | undefined> => {
  for (const site of listen.filter(isBoundLocally).flatMap((address) => listenAddressOf(address) ?? [])) {
    try {
      await checkPort(site)
    } catch (error) {
      const known = REASONS[systemCode(error) ?? '']?.(site)
      if (known !== undefined) return known
    }
  }
  return undefined
}
