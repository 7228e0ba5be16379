/** What a node offers to others: served here, and told in its record. State: the protocols that programs serve. */

import type { Directory } from '../../discovery/directory/directory.ts'
import type { ProtocolRecord } from '../../discovery/directory/record/agent-record.ts'
import type { Candidate } from '../../discovery/directory/tables/offer-index.ts'
import { wireId } from '../../protocols/define.ts'
import type { Served } from '../../protocols/wire/payload/contract.ts'
import { worthAnnouncing } from '../network/addresses/multiaddresses.ts'
import type { Router } from '../network/router.ts'

const MAX_ADDRESSES = 16

export interface AdvertiserDeps {
  readonly self: { readonly id: string; readonly name: string }
  labels(): Record<string, string>
  readonly directory: Pick<Directory, 'announce'>
  readonly router: Pick<Router, 'serves'>
  addresses(): string[]
  addServed(served: Served): Promise<() => Promise<void>>
  isStuck?(): boolean
  /** Whoever leaves has said so, and tells nothing more. */
  isLeaving(): boolean
}

export interface Advertiser {
  announce(): Promise<void>
  serve(served: Served, record: ProtocolRecord): Promise<() => Promise<void>>
  /** Tells others of something that needs nothing served. */
  advertise(id: string, record: ProtocolRecord): Promise<() => Promise<void>>
  /** This node itself, where it offers the protocol. */
  ownCandidate(protocol: string, major: number): Candidate | undefined
}

export const createAdvertiser = (deps: AdvertiserDeps): Advertiser => {
  const { self, directory, router } = deps
  const records = new Map<string, ProtocolRecord>()

  const announce = (): Promise<void> =>
    directory.announce({
      protocols: [...records.values()],
      labels: deps.labels(),
      addresses: worthAnnouncing(deps.addresses(), MAX_ADDRESSES),
    })

  return {
    announce,
    async serve(served, record) {
      const unserve = await deps.addServed(served)
      const id = wireId(served)
      records.set(id, record)
      await announce()
      return async () => {
        records.delete(id)
        if (!deps.isLeaving()) await announce()
        await unserve()
      }
    },
    async advertise(id, record) {
      records.set(id, record)
      await announce()
      return async () => {
        records.delete(id)
        if (!deps.isLeaving()) await announce()
      }
    },
    ownCandidate(protocol, major) {
      const served = router.serves(`/parley/${protocol}/${major}`)
      if (served === undefined || !records.has(wireId(served))) return undefined
      const { version } = served
      const isStuck = deps.isStuck?.() === true
      return { peer: self.id, name: self.name, state: 'alive', ...(isStuck && { isStuck }), version, methods: [] }
    },
  }
}
