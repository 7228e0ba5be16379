/**
 * What `parley doctor` says of addresses: whether the ports to listen on are free or who has them, whether others can dial
 * what this node tells them, and IPv6. A port is tried by listening on it for a moment. Who has
 * one is read from /proc, as far as the system lets this user see it (proc(5)): the inode of the socket from /proc/net, then
 * the process that has it open.
 */
import { readdir, readFile, readlink } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import {
  hostPort,
  isBoundLocally,
  isWildcard,
  type ListenAddress,
  listenAddressOf,
} from '../../network/addresses/listen-address.ts'
import { isLoopback, isRelayed } from '../../network/addresses/multiaddresses.ts'
import { checkPort } from '../../network/transports/port-check.ts'
import { systemCode } from '../../platform/private-file.ts'
import { type DoctorCheck, type Finding, fail, messageOf, ok, warn } from './check-finding.ts'
import type { DoctorSubject } from './doctor-subject.ts'

interface PortOwner {
  readonly pid: number
  /** The beginning of its command line. */
  readonly command: string
}

const LISTEN = '0A'
const MAX_COMMAND_CHARS = 80

/** Of `sl local_address rem_address st … inode`: address and port are hexadecimal. */
const inodesIn = (table: string, port: number, transport: 'tcp' | 'udp'): string[] =>
  table
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const fields = line.trim().split(/\s+/)
      const [, local = '', , state] = fields
      const isPort = Number.parseInt(local.split(':')[1] ?? '', 16) === port
      const inode = fields[9]
      return isPort && inode !== undefined && (transport === 'udp' || state === LISTEN) ? [inode] : []
    })

const holds = async (pid: string, sockets: ReadonlySet<string>): Promise<boolean> => {
  const folder = `/proc/${pid}/fd`
  for (const fd of await readdir(folder).catch(() => []))
    if (sockets.has(await readlink(`${folder}/${fd}`).catch(() => ''))) return true
  return false
}

/** @returns undefined where nobody listens, or the process is hidden from this user */
export const ownerOf = async (port: number, transport: 'tcp' | 'udp'): Promise<PortOwner | undefined> => {
  const tables = await Promise.all(
    [transport, `${transport}6`].map((name) => readFile(`/proc/net/${name}`, 'utf8').catch(() => '')),
  )
  const sockets = new Set(
    tables.flatMap((table) => inodesIn(table, port, transport)).map((inode) => `socket:[${inode}]`),
  )
  if (sockets.size === 0) return undefined
  for (const pid of await readdir('/proc').catch(() => [])) {
    if (!/^\d+$/.test(pid) || !(await holds(pid, sockets))) continue
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    return { pid: Number(pid), command: line.replaceAll('\0', ' ').trim().slice(0, MAX_COMMAND_CHARS) }
  }
  return undefined
}

const FIRST_FREE_FOR_ALL = 1024

const whoHas = async (name: string, site: ListenAddress, subject: DoctorSubject): Promise<Finding> => {
  const owner = await ownerOf(site.port, site.transport)
  const at = `${hostPort(site)} (${site.transport})`
  if (owner !== undefined && owner.pid === subject.node?.pid) return ok(name, `${at} is that of the running node`)
  if (owner === undefined)
    return fail(
      name,
      `${at} is taken by a process that this user cannot see`,
      'choose another port, or 0 for any free one',
    )
  return fail(
    name,
    `${at} is taken by process ${owner.pid}: ${owner.command}`,
    `stop process ${owner.pid}, or choose another port, or 0 for any free one`,
  )
}

const portFinding = async (name: string, site: ListenAddress, subject: DoctorSubject): Promise<Finding> => {
  const at = `${hostPort(site)} (${site.transport})`
  try {
    await checkPort(site)
    return ok(name, `${at} is free`)
  } catch (error) {
    const code = systemCode(error)
    if (code === 'EADDRINUSE') return whoHas(name, site, subject)
    if (code === 'EADDRNOTAVAIL')
      return fail(name, `${site.host} is no address of this machine`, 'listen on one that it has, or on 0.0.0.0 or ::')
    if (code === 'EAFNOSUPPORT') return fail(name, `this machine has no ${site.kind}`, 'listen on IPv4 only')
    if (code === 'EACCES' && site.port < FIRST_FREE_FOR_ALL)
      return fail(name, `${at} needs the rights of root`, `choose a port from ${FIRST_FREE_FOR_ALL} on`)
    return fail(name, `${at} cannot be listened on: ${messageOf(error)}`, 'choose another address or port')
  }
}

const ports: DoctorCheck = {
  name: 'ports',
  async run(subject) {
    const { listen, debug } = subject.options
    const sites = listen.filter(isBoundLocally).flatMap((address) => listenAddressOf(address) ?? [])
    const kind = debug !== false && debug.host.includes(':') ? 'ip6' : 'ip4'
    const debugSite: ListenAddress[] = debug === false ? [] : [{ ...debug, kind, transport: 'tcp' }]
    const found: Promise<Finding>[] = []
    for (const site of sites) if (site.port !== 0) found.push(portFinding('listen port', site, subject))
    for (const site of debugSite) if (site.port !== 0) found.push(portFinding('debug port', site, subject))
    if (found.length > 0) return Promise.all(found)
    return [ok('listen port', sites.length === 0 ? 'none: it only dials' : 'any free one')]
  },
}

const beyondLoopback = (): { v4: string[]; v6: string[] } => {
  const all = Object.values(networkInterfaces()).flatMap((some) => some ?? [])
  const addresses = (family: string): string[] =>
    all
      .filter((one) => !one.internal && one.family === family && !one.address.startsWith('fe80:'))
      .map((one) => one.address)
  return { v4: addresses('IPv4'), v6: addresses('IPv6') }
}

/** Why nobody elsewhere can dial it. */
const undialable = (address: string, isAlone: boolean): string | undefined => {
  if (isRelayed(address)) return undefined
  const site = listenAddressOf(address)
  if (site === undefined) return undefined
  if (isWildcard(site.host)) return `${address} stands for all addresses of a machine, and for none that can be dialled`
  if (site.host.startsWith('fe80:') && !site.host.includes('%')) return `${address} is only valid on one link`
  if (isLoopback(address) && !isAlone) return `${address} leads each peer to itself`
  return undefined
}

const announced: DoctorCheck = {
  name: 'announced addresses',
  run(subject) {
    const { name } = announced
    const { listen, announce = [], join } = subject.options
    // A node that speaks to this machine only may tell loopback.
    const isAlone = [...listen, ...join].every((address) => isLoopback(address))
    if (announce.length > 0) {
      const bad = announce.flatMap((address) => undialable(address, isAlone) ?? [])
      if (bad.length === 0) return [ok(name, announce.join(', '))]
      const todo = 'announce an address at which others reach this node, or leave announce out'
      return [bad.length === announce.length ? fail(name, bad.join('; '), todo) : warn(name, bad.join('; '), todo)]
    }
    if (listen.length === 0) return [ok(name, 'none: the node only dials')]
    const { v4, v6 } = beyondLoopback()
    const isOpen = listen.some((address) => isWildcard(listenAddressOf(address)?.host ?? ''))
    if (isOpen && v4.length + v6.length === 0)
      return [warn(name, 'this machine has no address but loopback', 'announce the address at which others reach it')]
    if (!isAlone && listen.every((address) => isLoopback(address)))
      return [
        warn(
          name,
          `it listens on ${listen.join(', ')} and joins others beyond this machine: they cannot dial it`,
          'listen on /ip4/0.0.0.0/tcp/PORT, or leave it so if it need not be called',
        ),
      ]
    if (isOpen) return [ok(name, `those of this machine: ${[...v4, ...v6].slice(0, 8).join(', ')}`)]
    const isFree = listen.some((address) => /\/(tcp|udp)\/0(\/|$)/.test(address))
    return [ok(name, `${listen.join(', ')}${isFree ? ' (0: any free port)' : ''}`)]
  },
}

const ipv6: DoctorCheck = {
  name: 'IPv6',
  run({ options, join }) {
    const { name } = ipv6
    const wanted = [...options.listen, ...(options.announce ?? []), ...join].filter((address) =>
      address.startsWith('/ip6/'),
    )
    const beyond = wanted.filter((address) => !isLoopback(address) && !isWildcard(listenAddressOf(address)?.host ?? ''))
    const has = Object.values(networkInterfaces()).some((some) => some?.some(({ family }) => family === 'IPv6'))
    const { v6 } = beyondLoopback()
    if (wanted.length > 0 && !has)
      return [fail(name, `${wanted[0]} needs it, and this machine has none`, 'use IPv4 addresses, or switch IPv6 on')]
    if (beyond.length > 0 && v6.length === 0)
      return [
        warn(
          name,
          `${beyond[0]} needs it, and this machine has loopback only`,
          'use IPv4 addresses, or get an IPv6 address',
        ),
      ]
    return [
      ok(name, v6.length > 0 ? v6.slice(0, 4).join(', ') : has ? 'loopback only; not needed' : 'none; not needed'),
    ]
  },
}

export const ADDRESS_CHECKS: readonly DoctorCheck[] = [ports, announced, ipv6]
