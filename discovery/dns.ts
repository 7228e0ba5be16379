/**
 * Join sources that are names: what a name stands for now, and a watch that asks again and again.
 *
 * A name is `/dns/HOST/tcp/PORT`, `/dns4/…` (A records) or `/dns6/…` (AAAA), with or without `/ws` after it, or
 * `srv:_parley._tcp.HOST` for SRV records (RFC 2782), which bring hosts and ports. All its addresses are members that may
 * be dialled; who is behind one is learned by Noise. With TLS or a peer id after it a name stays one address: the
 * certificate needs the name, and the id says which member is meant.
 * State: per name the time of the next question, the failures in a row, and a question under way. What was found stays
 * where the name system fails or answers with nothing: a resolver that is down must not empty a mesh.
 */
import { ParleyError } from '../protocols/errors.ts'
import type { Clock, Stop, Timers } from '../protocols/port.ts'

export interface SrvRecord {
  readonly host: string
  readonly port: number
  /** Lower is asked first. */
  readonly priority: number
}

/** The name system. Each function returns nothing for a name that does not exist, and throws when it could not ask. */
export interface NameLookup {
  v4(host: string): Promise<string[]>
  v6(host: string): Promise<string[]>
  srv(name: string): Promise<SrvRecord[]>
  /** Ends the questions under way; they throw. */
  cancel(): void
}

/** Addresses that one name brings at most; of more, those with the best priority. */
export const MAX_NAME_ADDRESSES = 64

const NAME = /^\/(dns|dns4|dns6)\/([^/]+)\/tcp\/(\d+)(\/ws)?$/
const SRV = /^srv:(_[A-Za-z0-9-]+\._tcp\.[A-Za-z0-9._-]+?)\.?(\/ws)?$/

/** True for a text that is meant as an SRV source, well written or not. */
export const isSrv = (source: string): boolean => source.startsWith('srv:')

/** Why the SRV source cannot be used; undefined where it can. */
export const srvProblem = (source: string): string | undefined =>
  SRV.test(source) ? undefined : `${JSON.stringify(source)} names no service; write it as srv:_parley._tcp.example.org`

/** True for a join source that stands for whatever a name resolves to. */
export const isName = (source: string): boolean => NAME.test(source) || SRV.test(source)

const family = (host: string): string => (host.includes(':') ? 'ip6' : 'ip4')

/** The answers of the questions that worked; throws where none did. */
const some = async (questions: Promise<string[]>[]): Promise<string[]> => {
  const answers = await Promise.allSettled(questions)
  const found = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
  const failed = answers.find((answer) => answer.status === 'rejected')
  if (found.length === 0 && failed !== undefined) throw failed.reason
  return found
}

const hostsOf = (lookup: NameLookup, kind: string, host: string): Promise<string[]> =>
  some([...(kind === 'dns6' ? [] : [lookup.v4(host)]), ...(kind === 'dns4' ? [] : [lookup.v6(host)])])

/**
 * Multiaddresses that a name stands for, in the order in which they should be tried.
 * @param source a text for which isName() is true
 */
export const resolveName = async (source: string, lookup: NameLookup): Promise<string[]> => {
  const [, kind = 'dns', host, port, ws = ''] = NAME.exec(source) ?? []
  const found: string[] = []
  if (host !== undefined) {
    for (const ip of await hostsOf(lookup, kind, host)) found.push(`/${family(ip)}/${ip}/tcp/${port}${ws}`)
  } else {
    const [, service = '', suffix = ''] = SRV.exec(source) ?? []
    const records = [...(await lookup.srv(service))].sort((a, b) => a.priority - b.priority)
    const best = records.slice(0, MAX_NAME_ADDRESSES)
    const each = await Promise.allSettled(best.map((record) => hostsOf(lookup, 'dns', record.host)))
    for (const [at, answer] of each.entries()) {
      if (answer.status === 'rejected') continue
      for (const ip of answer.value) found.push(`/${family(ip)}/${ip}/tcp/${best[at]?.port}${suffix}`)
    }
    const failed = each.find((answer) => answer.status === 'rejected')
    if (found.length === 0 && failed !== undefined) throw failed.reason
  }
  return [...new Set(found)].slice(0, MAX_NAME_ADDRESSES)
}

export interface NameWatchDeps {
  lookup: NameLookup
  clock: Clock
  timers: Timers
  /** A number from 0 to 1. */
  chance(): number
  /** Milliseconds from one question to the next, on average; a quarter more or less, so that nodes do not ask together. */
  periodMs: number
  /** Milliseconds after the first question that failed; they double up to the period. */
  retryMs: number
  /** At least one address. */
  found(source: string, addresses: string[]): void
  /** The name stands for nothing, or nobody could be asked. */
  failed(source: string, error: Error): void
}

export interface NameWatch {
  /** Asks soon: what the name stood for does not answer. */
  refresh(source: string): void
  stop(): void
}

const nothing = (source: string): ParleyError =>
  new ParleyError('COM002', `the name in ${source} stands for no address`, {
    hint: 'it is asked for again; is it spelled right, and are the nodes behind it up?',
    details: { sent: false },
  })

interface Watched {
  readonly source: string
  failures: number
  askedAt: number
  asking: boolean
  stop: Stop
}

/** Asks for each name at once, and from then on again and again. */
export const watchNames = (sources: readonly string[], deps: NameWatchDeps): NameWatch => {
  const { clock, timers, periodMs, retryMs } = deps
  let stopped = false

  const later = (watched: Watched, delayMs: number): void => {
    watched.stop()
    watched.stop = stopped ? () => {} : timers.after(delayMs, () => void ask(watched))
  }

  const ask = async (watched: Watched): Promise<void> => {
    if (watched.asking) return
    watched.asking = true
    watched.askedAt = clock.monotonic()
    let pauseMs = periodMs
    try {
      const addresses = await resolveName(watched.source, deps.lookup)
      if (addresses.length === 0) throw nothing(watched.source)
      watched.failures = 0
      if (!stopped) deps.found(watched.source, addresses)
    } catch (error) {
      watched.failures += 1
      pauseMs = Math.min(periodMs, retryMs * 2 ** Math.min(watched.failures - 1, 16))
      if (!stopped) deps.failed(watched.source, error instanceof Error ? error : new Error(String(error)))
    }
    watched.asking = false
    later(watched, pauseMs * (0.75 + deps.chance() / 2))
  }

  const all = new Map(
    sources.map((source) => [source, { source, failures: 0, askedAt: 0, asking: false, stop: () => {} } as Watched]),
  )
  for (const watched of all.values()) void ask(watched)

  return {
    refresh(source) {
      const watched = all.get(source)
      if (watched === undefined || watched.asking || watched.failures > 0) return
      later(watched, Math.max(0, watched.askedAt + retryMs - clock.monotonic()) + retryMs * deps.chance())
    },
    stop() {
      stopped = true
      for (const { stop } of all.values()) stop()
      deps.lookup.cancel()
    },
  }
}
