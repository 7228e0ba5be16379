/**
 * `npm run docs:api`: the reference of the API, built from the types into docs/api, a page for each entry of the package.
 * The compiler writes the declarations into a folder of their own first.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { apiOf, apiPage } from './declarations.ts'
import { ROOT } from './pages.ts'

const ENTRIES = {
  'parley-mesh': ['node/index.d.ts', 'index.md'],
  'parley-mesh/protocols': ['protocols/index.d.ts', 'protocols.md'],
  'parley-mesh/discovery': ['discovery/index.d.ts', 'discovery.md'],
} as const

const folder = mkdtempSync(join(tmpdir(), 'parley-api-'))
try {
  const compiler = join(ROOT, 'node_modules/typescript/bin/tsc')
  const options = ['-p', 'tsconfig.build.json', '--emitDeclarationOnly', '--outDir', folder]
  execFileSync(process.execPath, [compiler, ...options], { cwd: ROOT, stdio: 'inherit' })
  const read = (path: string): string | undefined =>
    existsSync(join(folder, path)) ? readFileSync(join(folder, path), 'utf8') : undefined
  mkdirSync(join(ROOT, 'docs/api'), { recursive: true })
  for (const [title, [entry, page]] of Object.entries(ENTRIES)) {
    const api = apiOf(entry, read)
    writeFileSync(join(ROOT, 'docs/api', page), apiPage(title, api))
    process.stdout.write(`docs/api/${page}: ${api.exported.length} exported, ${api.used.length} more types\n`)
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
process.exit()
