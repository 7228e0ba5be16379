/** `npm run docs`: writes the generated parts of the documents anew. A test (test/unit/docs) says whether they are current. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT, renewedPages } from './pages.ts'

for (const { path, kept, renewed } of await renewedPages()) {
  if (kept === renewed) continue
  writeFileSync(join(ROOT, path), renewed)
  process.stdout.write(`${path} is written anew\n`)
}
process.exit()
