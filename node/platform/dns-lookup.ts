/**
 * The name system as Node has it. Names are asked for by c-ares, which blocks no thread; what it does not find is asked
 * from the operating system, which also knows the hosts file and search domains, and takes a thread of the pool that
 * signatures need, so it is only the second to be asked.
 *
 * Keeps the resolver.
 */
import { lookup as askSystem, Resolver } from 'node:dns/promises'
import type { NameLookup } from '../../discovery/dns.ts'
import { systemCode } from './private-file.ts'

const TIMEOUT_MS = 2_000
const TRIES = 2

/** The name system answered: there is no such name, or it has no such records. */
const isAbsent = (error: unknown): boolean => ['ENOTFOUND', 'ENODATA'].includes(systemCode(error) ?? '')

export const createDnsLookup = (): NameLookup => {
  const resolver = new Resolver({ timeout: TIMEOUT_MS, tries: TRIES })

  const addresses = async (host: string, version: 4 | 6): Promise<string[]> => {
    try {
      return await (version === 4 ? resolver.resolve4(host) : resolver.resolve6(host))
    } catch (error) {
      // A resolver that does not answer c-ares would not answer the system either, only more slowly.
      if (['ETIMEOUT', 'ECANCELLED'].includes(systemCode(error) ?? '')) throw error
    }
    try {
      return (await askSystem(host, { all: true, family: version })).map(({ address }) => address)
    } catch (error) {
      if (isAbsent(error)) return []
      throw error
    }
  }

  return {
    v4: (host) => addresses(host, 4),
    v6: (host) => addresses(host, 6),
    async srv(name) {
      try {
        return (await resolver.resolveSrv(name)).map(({ name: host, port, priority }) => ({ host, port, priority }))
      } catch (error) {
        if (isAbsent(error)) return []
        throw error
      }
    },
    cancel: () => resolver.cancel(),
  }
}
