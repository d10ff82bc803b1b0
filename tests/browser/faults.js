// What is wrong with the open page of the gallery: by the name of a fault, the places that have it.
() => {
    const all = (selector, of = document) => [...of.querySelectorAll(selector)];
    const box = part => part.getBoundingClientRect();
    const near = (one, other) => Math.abs(one - other) <= 1;
    const width = document.documentElement.clientWidth;
    const scrolls = e => ['auto', 'scroll'].includes(getComputedStyle(e).overflowX)
        && e.scrollWidth > e.clientWidth + 1;

    // Each run of characters, with the boxes that it is drawn in.
    const runs = (part, kind) => {
        const found = [], texts = document.createTreeWalker(part, NodeFilter.SHOW_TEXT);
        while (texts.nextNode())
            for (const run of texts.currentNode.data.matchAll(kind)) {
                const range = document.createRange();
                range.setStart(texts.currentNode, run.index);
                range.setEnd(texts.currentNode, run.index + run[0].length);
                found.push({ text: run[0], boxes: [...range.getClientRects()] });
            }
        return found;
    };

    const beginsTooOften = code => {
        const begun = code.textContent.split('\n').filter(line => /^\S/.test(line)).length;
        const atTheEdge = runs(code, /\S+/g).flatMap(run => run.boxes)
            .filter(drawn => near(drawn.left, box(code).left));
        return new Set(atTheEdge.map(drawn => Math.round(drawn.bottom))).size > begun;
    };

    const isAside = way => {
        const links = all('a, [aria-current]', way).map(box);
        return !near(links[0].left + links.at(-1).right, width);
    };

    const isApart = bar => {
        const [before, after] = ['prev', 'next'].map(rel => bar.querySelector(`[rel=${rel}]`)).map(e => e && box(e));
        return (before && before.right > width / 2) || (after && after.left < width / 2)
            || (before && after && !near(before.top, after.top));
    };

    const found = {
        'A table of prose is wider than its place': all('.text_cell_render table')
            .filter(table => table.offsetWidth > table.parentElement.clientWidth + 1 || scrolls(table)),
        'A word of a table is broken': all('.text_cell_render :is(td, th), th[scope="row"]')
            .filter(cell => runs(cell, /\w+/g).some(word => word.boxes.length > 1)),
        'Nothing shows that there is more to scroll to': all('main *')
            .filter(e => scrolls(e) && !getComputedStyle(e).backgroundImage.includes('gradient')),
        'The rest of a long line looks like a line of its own': all('.highlight pre').filter(beginsTooOften),
        'The way to the contents is not in the middle': all('nav .all').filter(isAside),
        'The pages before and after are not left and right on one line': all('nav').filter(isApart),
        'A picture is cropped': all('img').filter(picture => getComputedStyle(picture).objectFit === 'cover'),
    };
    return Object.fromEntries(Object.entries(found).filter(([, places]) => places.length)
        .map(([name, places]) => [name, places.map(place => (place.alt ?? place.innerText).slice(0, 80))]));
}
