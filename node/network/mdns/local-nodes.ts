/**
 * Nodes of this machine and this user that know the same secret find each other without an address: each keeps a note in a
 * folder that only this user can look into, sealed with a key of the secret and the name of the mesh (mdns-cipher.ts). A node of
 * another user, another secret or another mesh is not found, and who reads a note without the secret learns nothing of it.
 *
 * State: the own note; who was found, at most MAX_FOUND. Bounds: MAX_NAMES names are looked at, MAX_NOTE_BYTES of each. A note
 * of a process that is gone is taken away. Who is found is dialled like any find: nothing of a note counts before Noise and
 * admission have proven it.
 *
 * A start takes the lock of the folder while it looks and puts its own note there: of nodes that start together one is the
 * first, founds the mesh, and is joined by the others.
 */
import { createHash } from 'node:crypto'
import { rmdirSync, unlinkSync } from 'node:fs'
import { lstat, readdir, unlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import * as z from 'zod'
import { isParleyError, ParleyError } from '../../../protocols/errors.ts'
import type { Log, Timers } from '../../../protocols/port.ts'
import type { MeshOptions } from '../../options/schema.ts'
import { ensurePrivateDirectory, opensToOthers, readSmallFile, writePrivateFile } from '../../platform/private-file.ts'
import { isStillRunning, type ProcessIdentity, thisProcess } from '../../platform/process-identity.ts'
import { lockDataDirectory } from '../../store/data-directory.ts'
import { addressProblem } from '../addresses/multiaddresses.ts'
import type { LocalDiscovery } from '../dial/connection-supervisor.ts'
import { type MdnsCipher, mdnsCiphersOf } from './mdns-cipher.ts'

const LOOK_MS = 2_000
const MAX_NAMES = 256
const MAX_FOUND = 64
const MAX_NOTE_BYTES = 16_384
const MAX_ADDRESSES = 32
/** Who is there and does not let this node in is told of again after so long, and then twice as long. */
const AGAIN_MS = 60_000
const MAX_AGAIN_MS = 3_600_000
const LOCK_TRIES = 100
const LOCK_MS = 20

const NoteSchema = z.object({
  peer: z.string().max(128),
  pid: z.int().positive(),
  birth: z.string().max(64),
  /** Without the peer id; empty of a node that is starting. */
  addresses: z.array(z.string().max(512)).max(MAX_ADDRESSES),
})
type Note = z.output<typeof NoteSchema>

export interface LocalNodesDeps {
  readonly self: string
  readonly options: Pick<MeshOptions, 'mesh' | 'secret'>
  readonly log: Log
  readonly timers: Timers
  readonly nowMs: () => number
  /** Of this node, with its peer id. */
  addresses(): readonly string[]
  /** Where the notes are; a folder of this user unless told. */
  readonly root?: string
}

export interface LocalNodes extends LocalDiscovery {
  /** Others were here when this node started. */
  readonly others: number
}

const ownRoot = (): string =>
  join(process.env.XDG_RUNTIME_DIR ?? tmpdir(), `parley-nodes-${process.getuid?.() ?? 'user'}`)

/** Says nothing of the secret that it comes from. */
const folderOf = (root: string, { service }: MdnsCipher): string =>
  join(root, createHash('sha256').update(service).digest('hex').slice(0, 32))

/** @throws STA003 where somebody else made it, or can look into it */
const checkOwn = async (folder: string): Promise<void> => {
  const found = await lstat(folder)
  const uid = process.getuid?.()
  if (found.isDirectory() && (uid === undefined || found.uid === uid) && !opensToOthers(found.mode)) return
  throw new ParleyError('STA003', `${folder} is not a folder of this user alone`, {
    hint: 'see who made it; nodes of this machine are found again once it is gone',
    details: { reason: 'in-use', path: folder },
  })
}

/** One after the other. After some seconds without it: a node that hangs must not keep others from starting. */
const locked = async <T>(folder: string, run: () => Promise<T>): Promise<T> => {
  for (let tries = 1; ; tries += 1) {
    try {
      const lock = await lockDataDirectory(folder)
      try {
        return await run()
      } finally {
        await lock.release()
      }
    } catch (error) {
      if (!isParleyError(error, 'STA003') || error.details.pid === undefined) throw error
      if (tries >= LOCK_TRIES) return run()
      await setTimeout(LOCK_MS)
    }
  }
}

const parse = (ring: MdnsCipher, bytes: Uint8Array): Note | undefined => {
  const plain = ring.decrypt(bytes)
  if (plain === undefined) return undefined
  try {
    return NoteSchema.safeParse(JSON.parse(new TextDecoder().decode(plain))).data
  } catch {
    return undefined
  }
}

/** The living of one folder. */
const readNotes = async (folder: string, ring: MdnsCipher, self: string): Promise<Note[]> => {
  const names = (await readdir(folder)).filter((name) => /^[A-Za-z0-9]{16,128}$/.test(name) && name !== self)
  const notes = await Promise.all(
    names.slice(0, MAX_NAMES).map(async (name) => {
      const path = join(folder, name)
      const bytes = await readSmallFile(path, MAX_NOTE_BYTES).catch(() => undefined)
      const note = bytes === undefined ? undefined : parse(ring, bytes)
      if (note === undefined || note.peer !== name) return []
      if (await isStillRunning(note)) return [note]
      await unlink(path).catch(() => {})
      return []
    }),
  )
  return notes.flat()
}

/** Notes by all the secrets that there are now: the own one, and those of others. State: the own one as it was written last. */
const createNotes = ({ self, options, root = ownRoot() }: LocalNodesDeps, own: ProcessIdentity) => {
  let rings: { readonly ring: MdnsCipher; readonly folder: string }[] = []
  let ringed: readonly string[] | undefined
  let written = ''

  return {
    folders: () => rings.map(({ folder }) => folder),
    /** Where the secrets are others than before. @throws STA003 */
    async renew(): Promise<void> {
      const { secret } = options
      if (isDeepStrictEqual(secret, ringed)) return
      await ensurePrivateDirectory(root)
      await checkOwn(root)
      rings = (await mdnsCiphersOf(options)).map((ring) => ({ ring, folder: folderOf(root, ring) }))
      for (const { folder } of rings) await ensurePrivateDirectory(folder)
      ringed = secret
      written = ''
    },
    async write(addresses: readonly string[]): Promise<void> {
      const note: Note = { peer: self, ...own, addresses: addresses.slice(0, MAX_ADDRESSES) }
      const text = JSON.stringify(note)
      for (const { ring, folder } of rings) {
        const isThere = await lstat(join(folder, self)).then(
          () => true,
          () => false,
        )
        if (text === written && isThere) continue
        // Whoever was the last one there took the folder away.
        if (!isThere) await ensurePrivateDirectory(folder)
        await writePrivateFile(join(folder, self), ring.encrypt(new TextEncoder().encode(text)))
      }
      written = text
    },
    async read(): Promise<Note[]> {
      const all = await Promise.all(rings.map(({ ring, folder }) => readNotes(folder, ring, self)))
      return [...new Map(all.flat().map((note) => [note.peer, note])).values()].slice(0, MAX_FOUND)
    },
    forget(): void {
      for (const { folder } of rings) {
        try {
          unlinkSync(join(folder, self))
          rmdirSync(folder)
        } catch {
          // It was not there, or others are.
        }
      }
    },
  }
}

/** Who was told of when: not again and again. State: the addresses and the pause of each. */
const createTold = (nowMs: () => number) => {
  const told = new Map<string, { readonly addresses: string; readonly atMs: number; readonly pauseMs: number }>()
  return {
    /** Those that are gone are new when they come again. */
    keep(peers: readonly string[]): void {
      for (const peer of told.keys()) if (!peers.includes(peer)) told.delete(peer)
    },
    isDue(peer: string, addresses: readonly string[]): boolean {
      const text = addresses.join(' ')
      const before = told.get(peer)
      const isSame = before?.addresses === text
      if (before !== undefined && isSame && nowMs() < before.atMs) return false
      const pauseMs = before !== undefined && isSame ? Math.min(2 * before.pauseMs, MAX_AGAIN_MS) : AGAIN_MS
      told.set(peer, { addresses: text, atMs: nowMs() + pauseMs, pauseMs })
      return true
    },
  }
}

/** @throws STA003 where there is no folder to be found in */
export const openLocalNodes = async (deps: LocalNodesDeps): Promise<LocalNodes> => {
  const { self, log, timers } = deps
  const notes = createNotes(deps, await thisProcess())
  const told = createTold(deps.nowMs)
  let found: Note[] = []
  let isLooking = false
  let isStopped = false
  let stopLooking = (): void => {}
  let tell: (peer: string, addresses: string[]) => void = () => {}

  const suffix = `/p2p/${self}`
  const ownAddresses = (): string[] =>
    deps.addresses().map((address) => (address.endsWith(suffix) ? address.slice(0, -suffix.length) : address))

  const tellAll = (): void => {
    told.keep(found.map(({ peer }) => peer))
    for (const { peer, addresses } of found) {
      const usable = addresses.filter((address) => addressProblem(address, 'join') === undefined)
      if (usable.length > 0 && told.isDue(peer, usable)) tell(peer, usable)
    }
  }

  const look = async (): Promise<void> => {
    if (isLooking || isStopped) return
    isLooking = true
    try {
      await notes.renew()
      await notes.write(ownAddresses())
      found = await notes.read()
      if (!isStopped) tellAll()
    } catch (error) {
      log.info('nodes of this machine could not be looked for', { error })
    } finally {
      isLooking = false
      if (isStopped) notes.forget()
    }
  }

  await notes.renew()
  const [first] = notes.folders()
  if (first !== undefined)
    await locked(first, async () => {
      found = await notes.read()
      await notes.write([])
    })

  return {
    others: found.length,
    start(fn) {
      if (isStopped) return
      tell = fn
      stopLooking = timers.every(LOOK_MS, () => void look())
      void look()
    },
    addressesOf: (peer) => found.find((note) => note.peer === peer)?.addresses ?? [],
    isSilent: () => found.length === 0,
    stop() {
      isStopped = true
      stopLooking()
      notes.forget()
    },
  }
}
