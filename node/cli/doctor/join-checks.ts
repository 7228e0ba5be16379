/**
 * What `parley doctor` says of the members to join by: whether their names stand for addresses, whether a connection comes
 * about, whether they let this node in, and how far their clocks are from this one. Each is visited for real, by a node of
 * its own that listens nowhere, keeps nothing and says goodbye.
 */
import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { isName, resolveName } from '../../../discovery/dns.ts'
import { isParleyError, type ParleyError } from '../../../protocols/errors.ts'
import type { Fields, Log } from '../../../protocols/port.ts'
import type { Mesh } from '../../api.ts'
import { hostPort, type ListenAddress, listenAddressOf } from '../../network/addresses/listen-address.ts'
import { isLoopback, isRelayed } from '../../network/addresses/multiaddresses.ts'
import { createDnsLookup } from '../../platform/dns-lookup.ts'
import { certainMs, type PeerSkew, skewText } from '../../trust/clock-skew.ts'
import { type DoctorCheck, type Finding, fail, messageOf, ok, skipped, warn } from './check-finding.ts'
import type { DoctorSubject } from './doctor-subject.ts'

/** Members that are looked at; of more, the first ones. */
const MAX_JOINS = 6
/** Addresses that one name stands for, looked at. */
const MAX_SITES = 4
const CONNECT_MS = 2_500
const DIAL_MS = 4_000
const VISIT_MS = 6_000
/** Beyond it peers refuse each other (protocols/security/membership-claims.ts). */
const REFUSED_SKEW_MS = 60_000

const HOST_NAME = /^\/(dns|dns4|dns6)\/([^/]+)\/(tcp|udp)\/(\d+)(\/.*)?$/

interface Reachable {
  readonly findings: Finding[]
  /** False: there is no use in a visit. */
  readonly isOpen: boolean
}

/** What the address stands for; itself, where it is no name. @throws what the name system says */
const resolved = async (address: string): Promise<string[]> => {
  const [, kind, host, transport, port] = HOST_NAME.exec(address) ?? []
  if (!isName(address) && host === undefined) return [address]
  const lookup = createDnsLookup()
  try {
    // With TLS or a peer id after it a name is one address for the node, and its host still has to be found.
    return await resolveName(isName(address) ? address : `/${kind}/${host}/tcp/${port}`, lookup).then((all) =>
      transport === 'udp' ? all.map((one) => one.replace('/tcp/', '/udp/')) : all,
    )
  } finally {
    lookup.cancel()
  }
}

const connectTo = ({ host, port }: ListenAddress): Promise<number> =>
  new Promise((resolve, reject) => {
    const startedAt = performance.now()
    const socket = connect({ host, port, timeout: CONNECT_MS })
    const end = (error?: Error): void => {
      socket.destroy()
      if (error === undefined) resolve(performance.now() - startedAt)
      else reject(error)
    }
    socket.once('connect', () => end())
    socket.once('timeout', () => end(new Error(`nobody answered within ${CONNECT_MS / 1000} s`)))
    socket.once('error', end)
  })

const nameOf = async (address: string): Promise<{ finding: Finding | undefined; stands: string[] }> => {
  const name = 'name'
  if (!isName(address) && !HOST_NAME.test(address)) return { finding: undefined, stands: [address] }
  try {
    const stands = await resolved(address)
    if (stands.length > 0)
      return { finding: ok(name, `${address} stands for ${stands.slice(0, 4).join(', ')}`), stands }
    const todo = 'is it spelled right, and are the nodes behind it up? A node asks again and again'
    return { finding: fail(name, `${address} stands for no address`, todo), stands }
  } catch (error) {
    const seen = `${address} could not be asked for: ${messageOf(error)}`
    return { finding: fail(name, seen, 'see /etc/resolv.conf, and whether the name server answers'), stands: [] }
  }
}

const reach = async (address: string): Promise<Reachable> => {
  const name = 'connection'
  const { finding, stands } = await nameOf(address)
  const findings = finding === undefined ? [] : [finding]
  if (stands.length === 0) return { findings, isOpen: false }
  const sites = stands.flatMap((one) => listenAddressOf(one) ?? []).slice(0, MAX_SITES)
  if (sites.some(({ transport }) => transport === 'udp'))
    return { findings: [...findings, ok(name, `${address} is QUIC; the visit tells`)], isOpen: true }
  const tried = await Promise.allSettled(sites.map(connectTo))
  const dead = tried.flatMap((one, at) =>
    one.status === 'rejected' ? [`${hostPort(sites[at] ?? { host: '?', port: 0 })}: ${messageOf(one.reason)}`] : [],
  )
  const fastest = Math.min(...tried.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : [])))
  const todo = 'see whether a node is up there, on that port, and whether a firewall is in between'
  if (dead.length === sites.length)
    return { findings: [...findings, fail(name, `${address}: ${dead.join('; ')}`, todo)], isOpen: false }
  const seen = `${address} in ${fastest.toFixed(1)} ms`
  const found = dead.length === 0 ? ok(name, seen) : warn(name, `${seen}; but not ${dead.join('; ')}`, todo)
  return { findings: [...findings, found], isOpen: true }
}

const clockFinding = ({ name: peer, skewMs, errorMs }: PeerSkew, maxSkewMs: number): Finding => {
  const name = 'clock of peer'
  const seen = `that of ${peer} is ${skewText(skewMs)} (± ${errorMs.toFixed(0)} ms)`
  const certain = certainMs({ skewMs, errorMs })
  const todo = 'set both clocks by NTP; beyond 60 s peers refuse each other'
  if (certain > REFUSED_SKEW_MS) return fail(name, seen, todo)
  return certain > maxSkewMs ? warn(name, seen, todo) : ok(name, seen)
}

/** Reasons of SEC001 that have to do with the secret, and what to do. */
const BY_SECRET: Record<string, string> = {
  'wrong-authority': 'it has another secret than this one (or another mesh name): give both the same',
  signature: 'it has another secret than this one: give both the same',
  'no-token': 'it needs the secret of its mesh: name the file with --secret-file, or set PARLEY_SECRET',
  'unexpected-token': 'it runs without a secret, and this has one: start both with the same, or both without',
}

const refusalFinding = (address: string, error: ParleyError, subject: DoctorSubject): Finding => {
  const { reason, skewMs } = error.details
  if (typeof skewMs === 'number') return fail('clock of peer', `${address}: ${error.message}`, error.hint ?? '')
  const seen = `${address} refuses this node: ${error.message}`
  // Nobody said that this shell has the node's secret.
  if (reason === 'no-token' && subject.joinsItself && subject.secrets.length === 0)
    return skipped('admission', 'the running node needs a secret; with --secret-file it is visited')
  return fail('admission', seen, BY_SECRET[String(reason)] ?? error.hint ?? 'see the log of that node')
}

/** Hears what a visitor says while it tries; `failed` rejects when it has failed for the second time. */
const listen = (): { log: Log; last(): string | undefined; failed: Promise<never> } => {
  const { promise: failed, reject } = Promise.withResolvers<never>()
  failed.catch(() => {})
  let last: string | undefined
  const keep = (message: string): void => {
    if (message.startsWith('cannot join')) last = message
  }
  const warned = (message: string, fields?: Fields): void => {
    keep(message)
    if (message.startsWith('cannot join')) reject(fields?.error ?? new Error(message))
  }
  return { log: { error: keep, warn: warned, info: keep }, last: () => last, failed }
}

const visit = async (address: string, subject: DoctorSubject, signal: AbortSignal): Promise<Finding[]> => {
  const { createMesh } = await import('../../mesh.ts')
  const { options, mesh, secrets } = subject
  const { log, last, failed } = listen()
  const [first, second] = secrets
  const secret = first === undefined ? undefined : second === undefined ? first : ([first, second] as [string, string])
  const startedAt = performance.now()
  let node: Mesh | undefined
  try {
    node = await createMesh({
      name: `doctor-${randomBytes(3).toString('hex')}`,
      mesh,
      listen: [],
      join: [address],
      allowWeakSecret: true,
      log,
      timings: { dialTimeoutMs: DIAL_MS, admissionTimeoutMs: DIAL_MS },
      ...(secret !== undefined && { secret }),
    })
    await Promise.race([node.joined({ signal: AbortSignal.any([signal, AbortSignal.timeout(VISIT_MS)]) }), failed])
    const tookMs = Math.round(performance.now() - startedAt)
    const names = node.members().map(({ name }) => name)
    const clocks = node.figures().clocks.map((one) => clockFinding(one, options.timings.maxSkewMs))
    return [ok('admission', `${address} let this in after ${tookMs} ms: ${names.join(', ')}`), ...clocks]
  } catch (error) {
    if (isParleyError(error, 'SEC001')) return [refusalFinding(address, error, subject)]
    const seen = `${address} is reached, and no member lets this in: ${last() ?? messageOf(error)}`
    return [fail('admission', seen, 'see whether a Parley node listens there, and its log')]
  } finally {
    await node?.stop()
  }
}

const joinCheck = (address: string): DoctorCheck => ({
  name: `join ${address}`,
  async run(subject, signal) {
    const { findings, isOpen } = isRelayed(address) ? { findings: [], isOpen: true } : await reach(address)
    if (!isOpen) return findings
    if (subject.secretProblem !== undefined || subject.configProblem !== undefined)
      return [...findings, skipped('admission', 'the settings have to be right first')]
    if (subject.secrets.length === 0 && !isLoopback(address) && !subject.joinsItself)
      return [...findings, skipped('admission', 'without a secret nothing leaves this machine')]
    return [...findings, ...(await visit(address, subject, signal))]
  },
})

/** One for each member to join by. */
export const joinChecks = ({ join, joinsItself, options }: DoctorSubject): DoctorCheck[] => {
  // One address of the running node is enough to see whether it lets others in.
  const targets = joinsItself ? join.slice(0, 1) : join.slice(0, MAX_JOINS)
  const more = joinsItself ? 0 : join.length - targets.length
  const rest: DoctorCheck[] = []
  if (more > 0)
    rest.push({ name: 'join', run: () => [skipped('join', `${more} more addresses to join are not looked at`)] })
  if (targets.length === 0) {
    const others = options.discovery.mdns ? 'it finds others by multicast DNS' : 'it joins nobody; others may join it'
    rest.push({ name: 'join', run: () => [ok('join', others)] })
  }
  return [...targets.map(joinCheck), ...rest]
}
