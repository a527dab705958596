-- The demo's database `shop`: a small web shop with data worth hiding. Run by sample.py with psql, once, in an empty database.
-- Every value is made from its row number: the same data each time, nobody's real data, and no literal that looks like a key.

CREATE TABLE customers (
    id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL,
    email       text NOT NULL UNIQUE,
    city        text NOT NULL,
    card_number text NOT NULL,
    api_key     text NOT NULL UNIQUE,
    created_at  timestamptz NOT NULL
);
CREATE TABLE products (
    id    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name  text NOT NULL UNIQUE,
    price numeric(10, 2) NOT NULL CHECK (price > 0),
    stock integer NOT NULL CHECK (stock >= 0)
);
CREATE TABLE orders (
    id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id integer NOT NULL REFERENCES customers ON DELETE CASCADE,
    status      text NOT NULL CHECK (status IN ('paid', 'shipped', 'delivered', 'returned', 'cancelled')),
    total       numeric(10, 2) NOT NULL DEFAULT 0,
    created_at  timestamptz NOT NULL
);
CREATE TABLE order_items (
    order_id   integer NOT NULL REFERENCES orders ON DELETE CASCADE,
    product_id integer NOT NULL REFERENCES products,
    quantity   integer NOT NULL CHECK (quantity > 0),
    price      numeric(10, 2) NOT NULL,
    PRIMARY KEY (order_id, product_id)
);
CREATE INDEX orders_customer_id ON orders (customer_id);
CREATE INDEX orders_created_at ON orders (created_at);

-- Luhn check digit (ISO/IEC 7812-1) of a number that still lacks it: every second digit from the right doubled.
CREATE FUNCTION pg_temp.with_check_digit(digits text) RETURNS text LANGUAGE sql AS $$
    SELECT digits || (10 - sum(CASE WHEN place % 2 = 1 THEN (digit * 2) / 10 + (digit * 2) % 10 ELSE digit END) % 10) % 10
    FROM (SELECT ordinality AS place, value::integer AS digit
          FROM regexp_split_to_table(reverse(digits), '') WITH ORDINALITY AS d (value, ordinality)) AS placed
$$;

INSERT INTO customers (name, email, city, card_number, api_key, created_at)
SELECT first || ' ' || last,
       lower(first || '.' || last) || '@example.' || (ARRAY['com', 'net', 'org'])[1 + n % 3],
       (ARRAY['Berlin', 'Lisbon', 'Oslo', 'Toronto', 'Kyoto', 'Nairobi', 'Lima', 'Perth'])[1 + n * 5 % 8],
       pg_temp.with_check_digit('400000' || lpad((n * 7919 % 1000000000)::text, 9, '0')),
       'sk' || '_live_' || left(md5('key ' || n) || md5('more ' || n), 40),
       timestamptz '2024-01-01 08:00+00' + n * interval '3 days 5 hours 17 minutes'
FROM (SELECT n,
             (ARRAY['Ada', 'Ben', 'Clara', 'David', 'Elif', 'Femi', 'Grace', 'Hugo', 'Ines', 'Jonas',
                    'Kaori', 'Luca', 'Maya', 'Nils', 'Olga', 'Pablo', 'Quinn', 'Rosa', 'Samir', 'Tove'])[1 + n % 20] AS first,
             (ARRAY['Abbott', 'Becker', 'Costa', 'Diaz', 'Eriksen', 'Fischer', 'Gupta', 'Haddad', 'Ito', 'Jensen'])[1 + n / 20] AS last
      FROM generate_series(0, 199) AS n) AS people
ORDER BY n;

INSERT INTO products (name, price, stock)
SELECT adjective || ' ' || noun, 5 + (a * 37 + b * 53) % 180 + 0.90, (a * 29 + b * 31) % 250
FROM unnest(ARRAY['Small', 'Large', 'Walnut', 'Linen', 'Copper']) WITH ORDINALITY AS x (adjective, a),
     unnest(ARRAY['Lamp', 'Chair', 'Teapot', 'Notebook', 'Blanket', 'Shelf', 'Clock', 'Basket']) WITH ORDINALITY AS y (noun, b)
ORDER BY b, a;

INSERT INTO orders (customer_id, status, created_at)
SELECT 1 + n * 37 % 200,
       (ARRAY['delivered', 'delivered', 'delivered', 'shipped', 'paid', 'returned', 'cancelled'])[1 + n % 7],
       timestamptz '2025-01-01 09:30+00' + n * interval '15 hours 43 minutes'
FROM generate_series(0, 999) AS n
ORDER BY n;

INSERT INTO order_items (order_id, product_id, quantity, price)
SELECT o.id, p.id, 1 + (o.id + line) % 3, p.price
FROM orders AS o, generate_series(0, 2) AS line, products AS p
WHERE line <= o.id % 3 AND p.id = 1 + (o.id * 7 + line * 11) % 40;

UPDATE orders SET total = items.total
FROM (SELECT order_id, sum(quantity * price) AS total FROM order_items GROUP BY order_id) AS items
WHERE items.order_id = orders.id;

-- The gateway's login: it owns what the demo alters and drops, and may do what the demo shows.
GRANT USAGE, CREATE ON SCHEMA public TO hoop;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA public TO hoop;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO hoop;
ALTER TABLE products OWNER TO hoop;
ALTER TABLE order_items OWNER TO hoop;

ANALYZE;
