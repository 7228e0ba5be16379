/**
 * What the package brings along, as a CycloneDX 1.6 document: `node docker/sbom.ts [--out FILE]`.
 *
 * Made of package-lock.json of the working folder alone, without the network: each dependency that is installed with
 * --omit=dev, with its version, licence, checksum and what it needs itself. The same lock file gives the same document. Keeps
 * no state. Source: CycloneDX 1.6; package URL specification, npm.
 */
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { parseArgs } from 'node:util'

export interface LockedPackage {
  readonly name?: string
  readonly version?: string
  readonly license?: string
  readonly integrity?: string
  /** Only for developers; only where the platform has it; only because another package wants it beside itself. */
  readonly dev?: boolean
  readonly optional?: boolean
  readonly peer?: boolean
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
}
export type Lock = Readonly<Record<string, LockedPackage>>

const MODULES = 'node_modules/'
/** `node_modules/a/node_modules/@b/c` to `@b/c`. */
const nameAt = (path: string): string => path.slice(path.lastIndexOf(MODULES) + MODULES.length)

/** The specification has a scope's `@` escaped. */
const purlOf = (name: string, version: string): string => `pkg:npm/${name.replace(/^@/, '%40')}@${version}`

/** `sha512-<base64>` to what the format wants. */
const hashesOf = (integrity = ''): { alg: string; content: string }[] =>
  integrity
    .split(' ')
    .map((one) => /^sha(256|384|512)-(.+)$/.exec(one))
    .flatMap((found) =>
      found === null
        ? []
        : [{ alg: `SHA-${found[1]}`, content: Buffer.from(found[2] ?? '', 'base64').toString('hex') }],
    )

/** Where Node finds `wanted` from a package at `path`: in its own folder, else in one above. */
const placeOf = (lock: Lock, path: string, wanted: string): string | undefined => {
  let folder = path === '' ? '' : `${path}/`
  for (;;) {
    const place = `${folder}${MODULES}${wanted}`
    if (Object.hasOwn(lock, place)) return place
    if (folder === '') return undefined
    folder = folder.slice(0, folder.lastIndexOf(MODULES))
  }
}

/** Paths of what is installed for use, from the root on. */
const reached = (lock: Lock): Map<string, string[]> => {
  const needs = new Map<string, string[]>()
  const line = ['']
  for (let path = line.shift(); path !== undefined; path = line.shift()) {
    if (needs.has(path)) continue
    const { dependencies, optionalDependencies, peerDependencies } = lock[path] ?? {}
    const places = Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies })
      .flatMap((wanted) => placeOf(lock, path, wanted) ?? [])
      .filter((place) => lock[place]?.dev !== true)
    needs.set(path, places)
    line.push(...places)
  }
  return needs
}

const componentOf = (path: string, { name, version = '', license, integrity }: LockedPackage) => {
  const full = name ?? nameAt(path)
  const [scope, short] = full.startsWith('@') ? full.split('/') : [undefined, full]
  const purl = purlOf(full, version)
  const hashes = hashesOf(integrity)
  return {
    type: 'library',
    'bom-ref': purl,
    ...(scope !== undefined && { group: scope }),
    name: short,
    version,
    purl,
    ...(hashes.length > 0 && { hashes }),
    // An expression may be one licence too.
    ...(license !== undefined && { licenses: [{ expression: license }] }),
  }
}

/** The document. @param lock its entry `''` is the package itself */
export const sbomOf = (lock: Lock) => {
  const needs = reached(lock)
  const refOf = (path: string): string => {
    const { name, version = '' } = lock[path] ?? {}
    return purlOf(name ?? nameAt(path), version)
  }
  const own = lock[''] ?? {}
  // One package may be at several places, in one version.
  const components = new Map<string, ReturnType<typeof componentOf>>()
  const dependsOn = new Map<string, Set<string>>()
  for (const [path, places] of needs) {
    const entry = lock[path] ?? {}
    if (path !== '') components.set(refOf(path), componentOf(path, entry))
    const known = dependsOn.get(refOf(path)) ?? new Set()
    for (const place of places) known.add(refOf(place))
    dependsOn.set(refOf(path), known)
  }
  const sorted = [...components].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, component]) => component)
  const digest = createHash('sha256').update(JSON.stringify(sorted)).digest('hex')
  const uuid = [digest.slice(0, 8), digest.slice(8, 12), `8${digest.slice(13, 16)}`, `8${digest.slice(17, 20)}`]
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    serialNumber: `urn:uuid:${uuid.join('-')}-${digest.slice(20, 32)}`,
    version: 1,
    metadata: { component: { ...componentOf('', own), type: 'application' } },
    components: sorted,
    dependencies: [...dependsOn].map(([ref, on]) => ({ ref, dependsOn: [...on].toSorted() })),
  }
}

if (basename(process.argv[1] ?? '') === 'sbom.ts') {
  const { values } = parseArgs({ options: { out: { type: 'string' } } })
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as { packages: Lock }
  const text = `${JSON.stringify(sbomOf(packages), null, 2)}\n`
  if (values.out === undefined) process.stdout.write(text)
  else writeFileSync(values.out, text)
}
