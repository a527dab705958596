// The JDBC driver. The rules are those of playing.py; the first argument is added to the URL (preferQueryMode=simple).

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import org.postgresql.PGStatement;

public final class Jdbc {
    private final Connection connection;
    private final Map<String, PreparedStatement> statements = new HashMap<>();
    private volatile Statement running;

    private Jdbc(String options) throws SQLException {
        Map<String, String> given = System.getenv();
        String ca = given.get("DRIVER_CA");
        Properties properties = new Properties();
        properties.setProperty("user", "hoop");
        properties.setProperty("password", given.get("DRIVER_TOKEN"));
        properties.setProperty("sslmode", ca.isEmpty() ? "disable" : "verify-full");
        if (!ca.isEmpty()) {
            properties.setProperty("sslrootcert", ca);
        }
        String place = given.get("DRIVER_HOST") + ":" + given.get("DRIVER_PORT");
        connection = DriverManager.getConnection("jdbc:postgresql://" + place + "/shop?" + options, properties);
    }

    public static void main(String[] arguments) throws Exception {
        Jdbc driver = new Jdbc(arguments[0]);
        String version = driver.connection.getMetaData().getDriverVersion();
        boolean tls = !System.getenv("DRIVER_CA").isEmpty();
        System.out.println("{\"driver\": " + quoted("JDBC " + version) + ", \"tls\": " + tls + "}");
        BlockingQueue<String[]> commands = new LinkedBlockingQueue<>();
        Thread listening = new Thread(() -> driver.listen(commands));
        listening.setDaemon(true);
        listening.start();
        for (String[] words = commands.take(); words.length > 0; words = commands.take()) {
            System.out.println(driver.answer(words));
        }
        driver.connection.close();
    }

    private void listen(BlockingQueue<String[]> commands) {
        try (BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                if (line.equals("cancel")) {
                    running.cancel();
                } else {
                    commands.add(line.split("\t"));
                }
            }
        } catch (Exception error) {
            error.printStackTrace();
        }
        commands.add(new String[0]);
    }

    private String answer(String[] words) {
        try {
            switch (words[0]) {
                case "read":
                    try (Statement statement = connection.createStatement()) {
                        return rows(statement.executeQuery(words[1]), "");
                    }
                case "prepared":
                    PreparedStatement prepared = prepared(words[1], words[2]);
                    ResultSet found = prepared.executeQuery();
                    boolean named = prepared.unwrap(PGStatement.class).isUseServerPrepare();
                    return rows(found, ", \"on_server\": " + named);
                case "change":
                    PreparedStatement change = prepared(words[1], words[2]);
                    running = change;
                    return "{\"count\": " + change.executeUpdate() + "}";
                case "begin":
                    connection.setAutoCommit(false);
                    return "{}";
                case "commit":
                    connection.commit();
                    connection.setAutoCommit(true);
                    return "{}";
                default:
                    connection.rollback();
                    connection.setAutoCommit(true);
                    return "{}";
            }
        } catch (SQLException error) {
            return "{\"error\": " + quoted(error.getSQLState()) + ", \"message\": " + quoted(error.getMessage()) + "}";
        }
    }

    private PreparedStatement prepared(String sql, String value) throws SQLException {
        PreparedStatement statement = statements.get(sql);
        if (statement == null) {
            statement = connection.prepareStatement(sql.replace("{}", "?"));
            statements.put(sql, statement);
        }
        statement.setInt(1, Integer.parseInt(value));
        return statement;
    }

    private static String rows(ResultSet found, String more) throws SQLException {
        List<String> rows = new ArrayList<>();
        int columns = found.getMetaData().getColumnCount();
        while (found.next()) {
            List<String> values = new ArrayList<>();
            for (int at = 1; at <= columns; at++) {
                Object value = found.getObject(at);
                values.add(value instanceof Number ? value.toString() : quoted(found.getString(at)));
            }
            rows.add("[" + String.join(", ", values) + "]");
        }
        return "{\"rows\": [" + String.join(", ", rows) + "]" + more + "}";
    }

    private static String quoted(String text) {
        if (text == null) {
            return "null";
        }
        StringBuilder out = new StringBuilder("\"");
        for (char each : text.toCharArray()) {
            if (each < ' ') {
                out.append(String.format("\\u%04x", (int) each));
            } else {
                out.append(each == '"' || each == '\\' ? "\\" : "").append(each);
            }
        }
        return out.append('"').toString();
    }
}
