/**
 * SIGHUP: a running node reads its configuration again, and says on stderr what came of it.
 *
 * It never ends the node: what cannot be used is said, and the node goes on as it was. But where the terminal that the node
 * was started on is gone, the signal means that, and the node stops in order. State: whether it reads just now, and whether
 * it was asked again meanwhile; a signal that comes before the node is up is answered then.
 */
import { createHash } from 'node:crypto'
import { closeSync, openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import type { Mesh } from '../../api.ts'
import { completeChanges } from '../../options/config/build-options.ts'
import { snakeCase } from '../../options/config/key-shape.ts'
import { errorText } from '../output/exit-codes.ts'
import { isExplicit, loadUpConfiguration, type UpOptions } from './up-configuration.ts'

export interface HangupReload {
  /** From now on a signal changes this node; one that came earlier does so now. */
  follow(mesh: Mesh, options: UpOptions, started: Started): void
  stop(): void
}

interface Started {
  readonly serve: readonly string[]
  readonly parts: readonly string[]
  readonly dataDir: string
  /** Of these files when they were started; see digestsOf. */
  readonly digests: ReadonlyMap<string, string | undefined>
}

/** What is in each file; undefined for one that cannot be read. */
export const digestsOf = async (files: readonly string[]): Promise<ReadonlyMap<string, string | undefined>> => {
  const digests = files.map((file) =>
    readFile(file).then(
      (bytes) => createHash('sha256').update(bytes).digest('hex'),
      () => undefined,
    ),
  )
  return new Map((await Promise.all(digests)).map((digest, at) => [files[at] ?? '', digest]))
}

/** As the file has them. @param more what is no option */
const list = (paths: readonly string[], more: readonly string[] = []): string =>
  [...paths.map(snakeCase), ...more].join(', ') || 'nothing'

/** Agents and parts run by their files as those were at the start; what a file imports is not looked at. */
const editedOf = async ({ digests, parts }: Started): Promise<string[]> => {
  const now = await digestsOf([...digests.keys()])
  return [...digests].flatMap(([file, before]) =>
    now.get(file) === before
      ? []
      : [`${parts.includes(file) ? 'parts' : 'serve'} (${basename(file)} was edited, and runs as it was)`],
  )
}

const readAgain = async (mesh: Mesh, options: UpOptions, started: Started): Promise<string> => {
  const next = await loadUpConfiguration(options)
  // Who the node is was settled when it started, where nobody says otherwise.
  const given = {
    ...next.input,
    ...(!isExplicit(next, 'name') && { name: mesh.self.name }),
    ...(!isExplicit(next, 'data_dir') && { dataDir: started.dataDir }),
  }
  const { applied, needsRestart } = await mesh.reload(completeChanges(given))
  const changed = (['serve', 'parts'] as const).filter((key) => !isDeepStrictEqual(next[key], started[key]))
  const later = list([...needsRestart, ...changed], changed.length > 0 ? [] : await editedOf(started))
  const notices = next.notices.map((notice) => `note: ${notice}\n`).join('')
  return `${notices}read the configuration again: applied ${list(applied)}; needs a restart: ${later}\n`
}

const hasTerminal = (): boolean => {
  try {
    closeSync(openSync('/dev/tty', 'r'))
    return true
  } catch {
    // ENXIO: there is none (any more).
    return false
  }
}

/** @param onGone called where the signal means that the terminal is gone */
export const createHangupReload = (onGone: () => void): HangupReload => {
  const startedOnTerminal = process.stdin.isTTY === true
  let read: (() => Promise<string>) | undefined
  let isWanted = false
  let isReading = false

  const run = async (): Promise<void> => {
    if (isReading || read === undefined) return
    isReading = true
    while (isWanted) {
      isWanted = false
      try {
        process.stderr.write(await read())
      } catch (error) {
        process.stderr.write(`${errorText(error)}the configuration is not used; this node goes on as it was\n`)
      }
    }
    isReading = false
  }
  const onHangup = (): void => {
    if (startedOnTerminal && !hasTerminal()) {
      onGone()
      return
    }
    isWanted = true
    void run()
  }
  process.on('SIGHUP', onHangup)
  return {
    follow(mesh, options, started) {
      read = () => readAgain(mesh, options, started)
      void run()
    },
    stop: () => void process.off('SIGHUP', onHangup),
  }
}
