/**
 * Network namespaces of the test's own, joined by a bridge in one more of them; the bridge drops what is told to be cut,
 * silently, one way or both. Nothing of it is seen outside. Needs root, iproute2 and nftables.
 *
 * State: the namespaces, removed by remove() and when the process ends; those of a test that was killed are removed by the
 * next one. Their names begin with the pid of the test.
 */
import { execFileSync } from 'node:child_process'
import { noSwallowing } from './namespace.ts'

const PREFIX = 'parley-net'
const SUBNET = '10.78.0'
const SUBNET_6 = 'fd78:'
/** What passes the bridge from one port to another; ARP does, so that a cut is silence and no error. */
const RULES = `table bridge parley {
  set cut { type ipv4_addr . ipv4_addr; }
  chain forward { type filter hook forward priority 0; policy accept; ip saddr . ip daddr @cut drop; }
}`

export interface Place {
  /** IPv4, unless there is only IPv6. */
  readonly address: string
  /** Command and arguments that run a program inside. */
  readonly enter: readonly string[]
}

/** What `from` sends does not reach `to`. */
export type Cut = readonly [from: Place, to: Place]

export interface Switched {
  readonly places: readonly Place[]
  /** These, and no others, from now on; all at the same moment. */
  cut(cuts: readonly Cut[]): void
  heal(): void
  remove(): void
}

/** Neither side hears the other. */
export const between = (some: readonly Place[], others: readonly Place[]): Cut[] =>
  some.flatMap((one) =>
    others.flatMap((other): Cut[] => [
      [one, other],
      [other, one],
    ]),
  )
/** `some` are not heard by the others, and hear them. */
export const unheard = (some: readonly Place[], others: readonly Place[]): Cut[] =>
  some.flatMap((one) => others.map((other): Cut => [one, other]))

const ip = (...args: string[]): string =>
  execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })

/** Why there can be none here; undefined where there can. */
export const noSwitched = noSwallowing

const runs = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

const ours = (): { name: string; pid: number }[] =>
  ip('netns', 'list')
    .split('\n')
    .map((line) => line.split(' ')[0] ?? '')
    .filter((name) => name.startsWith(`${PREFIX}-`))
    .map((name) => ({ name, pid: Number(name.split('-')[2]) }))

const removeThose = (isTheirs: (pid: number) => boolean): void => {
  for (const { name, pid } of ours()) if (isTheirs(pid)) ip('netns', 'delete', name)
}

/** @param ipv6Only places have no IPv4 address beyond their own loopback; such places cannot be cut */
export const createSwitched = (count: number, { ipv6Only = false } = {}): Switched => {
  const nameOf = (what: string): string => `${PREFIX}-${process.pid}-${what}`
  const hub = nameOf('hub')
  const enter = (name: string): string[] => ['ip', 'netns', 'exec', name]
  const rules = (text: string): void => {
    const [command = '', ...rest] = enter(hub)
    execFileSync(command, [...rest, 'nft', '-f', '-'], { input: text, stdio: ['pipe', 'ignore', 'pipe'] })
  }
  const remove = (): void => {
    process.off('exit', remove)
    removeThose((pid) => pid === process.pid)
  }

  removeThose((pid) => !runs(pid))
  process.on('exit', remove)
  ip('netns', 'add', hub)
  ip('-n', hub, 'link', 'add', 'bridge', 'type', 'bridge')
  ip('-n', hub, 'link', 'set', 'bridge', 'up')
  rules(RULES)
  const places = Array.from({ length: count }, (_, i): Place => {
    const name = nameOf(String(i + 1))
    const address = ipv6Only ? `${SUBNET_6}:${i + 1}` : `${SUBNET}.${i + 1}`
    const port = `port${i + 1}`
    ip('netns', 'add', name)
    ip('link', 'add', port, 'netns', hub, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name)
    ip('-n', hub, 'link', 'set', port, 'master', 'bridge', 'up')
    ip('-n', name, 'link', 'set', 'lo', 'up')
    // An address is usable at once, without asking for a second whether somebody else has it.
    if (ipv6Only) ip('netns', 'exec', name, 'sysctl', '-qw', 'net.ipv6.conf.eth0.accept_dad=0')
    ip('-n', name, 'addr', 'add', ...(ipv6Only ? [`${address}/64`, 'nodad'] : [`${address}/24`]), 'dev', 'eth0')
    ip('-n', name, 'link', 'set', 'eth0', 'up')
    return { address, enter: enter(name) }
  })

  const cut = (cuts: readonly Cut[]): void => {
    const pairs = [...new Set(cuts.map(([from, to]) => `${from.address} . ${to.address}`))]
    const add = pairs.length === 0 ? '' : `add element bridge parley cut { ${pairs.join(', ')} }\n`
    rules(`flush set bridge parley cut\n${add}`)
  }
  return { places, cut, heal: () => cut([]), remove }
}
