/** The pages in docs/recipes: each is run by the test of its name, and is found from the others. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { it } from 'node:test';
import { RECIPES, blocksOf } from '../support/recipe.ts';

const INDEX = 'README.md';
const pages = globSync('*.md', { cwd: RECIPES });
const read = (page: string): string => readFileSync(join(RECIPES, page), 'utf8');
const recipes = pages.filter((page) => page !== INDEX);

it('there is a test for each page, and a line in the index', () => {
  assert.ok(recipes.length >= 10);
  for (const page of recipes) {
    const test = join(import.meta.dirname, `${basename(page, '.md')}.test.ts`);
    assert.ok(readFileSync(test, 'utf8').includes(`new Recipe('${page}')`), `${test} does not run ${page}`);
    assert.ok(read(INDEX).includes(`](${page})`), `${page} is not in the index`);
  }
});

it('each block says on which host it belongs, or is only shown', () => {
  for (const page of pages)
    for (const { language, words, text } of blocksOf(read(page)))
      assert.ok(language === 'text' || words.has('host'), `${page}, a block without a host:\n${text}`);
});

it('a file that is shown to a reader says its name, as its first lines or just before it', () => {
  for (const page of recipes)
    for (const { words, text } of blocksOf(read(page))) {
      const file = words.get('file');
      if (file !== undefined)
        assert.ok(text.split('\n', 2).join('\n').includes(`# ${file}`), `${page}: a reader is not told of ${file}`);
    }
});

it('what the pages link to is there', () => {
  for (const page of pages)
    for (const [, target = ''] of read(page).matchAll(/\]\(([^)]+)\)/g))
      assert.ok(existsSync(join(RECIPES, target)), `${page} links to ${target}`);
});
