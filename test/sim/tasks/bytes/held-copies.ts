/**
 * What the nodes of the simulated mesh hold of large values, as each said it and as the world took it from them: what a node said
 * that it keeps has to be there after a power cut, too.
 * State: for each node what it holds, and has held.
 */
import { heldFileName, hexHash } from '../../../../node/store/bytes/held-bytes-file.ts'
import type { HeldBytesStore } from '../../../../node/store/bytes/held-bytes-store.ts'
import type { FaultyDisk } from '../../../../node/testing/virtual/faulty-disk.ts'
import type { ByteStore, HeldBytes } from '../../../../protocols/task/bytes/byte-store.ts'

const READ_BYTES = 65_536
/** From the end of a file: among its bytes, and not in its head. */
const DAMAGED_AT = 100

/** A node with a disk. */
export interface Holder {
  readonly name: string
  /** Peer id. */
  readonly peer: string
}

interface Copy {
  readonly held: HeldBytes
  /** It said so: a power cut must leave it. Another one was found at a start, after a kill that came before its name was synced. */
  readonly isSaid: boolean
  isDamaged: boolean
}

export const valueKey = ({ task, hash }: { readonly task: string; readonly hash: string }): string => `${task}/${hash}`

const readAll = async (store: ByteStore, held: HeldBytes): Promise<Uint8Array> => {
  const parts: Uint8Array[] = []
  for await (const part of store.read(held, READ_BYTES)) parts.push(part)
  return Buffer.concat(parts)
}

export class HeldCopies {
  readonly counts = { kept: 0, damaged: 0, lostCopies: 0, lostValues: 0 }
  readonly #tell: (problem: string) => void
  /** By peer id, then by value. */
  readonly #copies = new Map<string, Map<string, Copy>>()
  readonly #ever = new Set<string>()
  /** By peer and value: whole copies that the node itself removed. */
  readonly #removed = new Set<string>()
  /** Files that are being written: by peer and value. */
  readonly #writing = new Set<string>()

  constructor(tell: (problem: string) => void) {
    this.#tell = tell
  }

  of(peer: string): Map<string, Copy> {
    const own = this.#copies.get(peer) ?? new Map<string, Copy>()
    this.#copies.set(peer, own)
    return own
  }

  /** Whether it said so once. */
  hasHeld(peer: string, key: string): boolean {
    return this.#ever.has(`${peer} ${key}`)
  }

  /** Whether it removed a whole copy by itself, and was not given another one since. */
  hasRemoved(peer: string, key: string): boolean {
    return this.#removed.has(`${peer} ${key}`)
  }

  isWhole(peer: string, key: string): boolean {
    return this.of(peer).get(key)?.isDamaged === false
  }

  /** The store of a node that was started: what it said that it keeps is there. */
  async opened({ name, peer }: Holder, store: HeldBytesStore): Promise<ByteStore> {
    const own = this.of(peer)
    for (const [key, copy] of own) {
      const held = store.find(copy.held)
      const isThere = held !== undefined && hexHash(await readAll(store, held)) === held.hash
      if (!isThere && copy.isSaid && !copy.isDamaged)
        this.#tell(`${name} said that it holds ${key}, and does not after its start`)
      if (held === undefined) own.delete(key)
    }
    for (const held of store.all()) {
      if (own.has(valueKey(held))) continue
      // It may be one that was damaged, whose removal did not get to the disk before a power cut.
      const isWhole = hexHash(await readAll(store, held)) === held.hash
      this.#note(peer, held, false, !isWhole)
    }
    return this.#watched(peer, store)
  }

  #note(peer: string, held: HeldBytes, isSaid: boolean, isDamaged: boolean): void {
    const key = valueKey(held)
    this.of(peer).set(key, { held, isSaid, isDamaged })
    this.#removed.delete(`${peer} ${key}`)
    if (isSaid) this.#ever.add(`${peer} ${key}`)
  }

  #forget(peer: string, held: HeldBytes): void {
    const key = valueKey(held)
    if (this.isWhole(peer, key)) this.#removed.add(`${peer} ${key}`)
    this.of(peer).delete(key)
  }

  #watched(peer: string, store: HeldBytesStore): ByteStore {
    return {
      find: (place) => store.find(place),
      findOf: (task, hash) => store.findOf(task, hash),
      all: () => store.all(),
      count: () => store.count(),
      bytes: () => store.bytes(),
      of: (by) => store.of(by),
      read: (held, partBytes) => store.read(held, partBytes),
      keep: async (held, bytes) => {
        const writing = `${peer} ${valueKey(held)}`
        this.#writing.add(writing)
        try {
          await store.keep(held, bytes)
          this.counts.kept += 1
          this.#note(peer, held, true, false)
        } finally {
          this.#writing.delete(writing)
        }
      },
      remove: async (held) => {
        // One that was kept anew since stays.
        if (store.find(held)?.at === held.at) this.#forget(peer, held)
        await store.remove(held)
        if (store.find(held) === undefined) this.#forget(peer, held)
      },
    }
  }

  /** It answered another node that it holds it. */
  said({ name, peer }: Holder, place: { readonly task: string; readonly hash: string }): void {
    const key = valueKey(place)
    if (!this.of(peer).has(key)) this.#tell(`${name} says that it holds ${key}, and does not yet`)
  }

  /** A bit of a file turns. @returns whether there was such a file */
  damage(peer: string, key: string, disk: FaultyDisk): boolean {
    const copy = this.of(peer).get(key)
    if (copy === undefined || copy.isDamaged || this.#writing.has(`${peer} ${key}`)) return false
    const name = heldFileName(copy.held)
    disk.flip(name, disk.size(name) - DAMAGED_AT)
    copy.isDamaged = true
    this.counts.damaged += 1
    return true
  }

  /** The files of a node that does not run are gone. */
  async lose(peer: string, disk: FaultyDisk): Promise<void> {
    this.counts.lostCopies += this.of(peer).size
    this.of(peer).clear()
    for (const name of await disk.list()) await disk.remove(name)
    await disk.syncNames()
  }
}
