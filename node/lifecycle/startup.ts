/**
 * What a node has before it opens a socket: checked options, the log, the data directory's lock, identity, trust (on
 * its way), metrics, and what all links have in common.
 */
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import type { Log } from '../../protocols/port.ts'
import { createLinkCounts } from '../../protocols/wire/link/link-limits.ts'
import { minorGc } from '../network/overrides/minor-gc.ts'
import { openRememberedPorts } from '../network/transports/remembered-ports.ts'
import { createMetrics, PREFIX } from '../observe/metrics/metrics.ts'
import { type MeshOptionsInput, parseOptions } from '../options/schema.ts'
import { clock, compressionOf, random, timers } from '../platform/platform.ts'
import { type DirectoryLock, lockDataDirectory } from '../store/data-directory.ts'
import { createDiskReserve, type DiskReserve } from '../store/files/disk-reserve.ts'
import { openKnownStores, warnOfOtherIdentity } from '../store/known-stores.ts'
import { loadIdentity, nextIncarnation } from '../trust/identity.ts'
import { deriveAuthority, SECRET_ADVICE, secretWarning } from '../trust/secret.ts'
import { createSigner } from '../trust/signer.ts'
import { createTrust } from '../trust/trust.ts'

export const prepareStartup = async (input: MeshOptionsInput, lock: { current: DirectoryLock | undefined }) => {
  const options = parseOptions(input)
  const { limits } = options
  if (options.minorGc) minorGc.enable()
  // Takes a tenth of a second in another thread; who asks for the same later gets this one.
  for (const secret of options.secret ?? []) deriveAuthority(secret, options.mesh).catch(() => {})
  // A program that brings its own log does not load this one.
  const ownLog =
    typeof options.log === 'string'
      ? (await import('../observe/log/node-log.ts')).createLog({ level: options.log, fields: { source: options.name } })
      : undefined
  const log: Log = ownLog ?? (options.log as Log)
  const { dataDir } = options
  const reserve = dataDir === undefined ? undefined : createDiskReserve(dataDir, log)
  const within: DiskReserve['within'] = reserve?.within ?? ((run) => run())
  if (dataDir !== undefined) lock.current = await within(() => lockDataDirectory(dataDir, { log }))
  const privateKey = await within(() => loadIdentity(dataDir, log))
  const next = (inPlace: boolean) => nextIncarnation(dataDir, clock.now(), log, inPlace)
  const incarnation = await within(() => next(false)).catch(() => next(true))
  const usesJournal = options.coordination.voter === 'auto'
  const known =
    dataDir === undefined
      ? undefined
      : await within(() => openKnownStores({ dataDir, usesJournal, log, now: clock.now }))
  await reserve?.keep()
  const selfId = peerIdFromPrivateKey(privateKey).toString()
  warnOfOtherIdentity(selfId, known, log)
  const ports = await openRememberedPorts(dataDir, options, log)
  const trusting = createTrust({ mesh: options.mesh, self: selfId, secrets: options.secret ?? [], clock })
  trusting.catch(() => {})
  const startedAt = clock.now()
  const identity = { id: selfId, name: options.name, mesh: options.mesh, incarnation }
  if (options.secret === undefined) {
    log.warn('no secret: this mesh is open to every process of this machine, and to nobody else', {
      hint: 'make a secret with `parley secret`',
    })
  }
  const warning = secretWarning(options.secret ?? [])
  if (warning !== undefined && !options.allowWeakSecret) log.warn(warning, { hint: SECRET_ADVICE })

  const metrics = createMetrics(PREFIX)
  const signer = createSigner(privateKey)
  const counts = createLinkCounts()
  const linkDeps = {
    clock,
    timers,
    log,
    compression: compressionOf(options.compression.encodings),
    defer: queueMicrotask,
    random,
    counts,
    limits: {
      ...limits,
      maxCallMs: options.timings.maxCallMs,
      maxStreamMs: options.timings.maxStreamMs,
      streamIdleMs: options.timings.streamIdleMs,
      compressMinBytes: options.compression.encodings.length === 0 ? 0 : options.compression.minBytes,
    },
  }
  return {
    ...{ options, known, ports, log, ownLog, privateKey, identity, trusting },
    ...{ startedAt, metrics, signer, counts, linkDeps },
  }
}

export type Startup = Awaited<ReturnType<typeof prepareStartup>>
